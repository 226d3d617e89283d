"""`netdsl eval FILE CHECKPOINT`: loss and metrics of trained weights on a split of the data."""

from __future__ import annotations

from pathlib import Path

from netdsl.backend.registry import find_target
from netdsl.cli.command import UsageError, at_least_1, command, option
from netdsl.cli.common import (
    DEVICE,
    FILE,
    FORMAT,
    NET,
    SET,
    THREADS,
    Format,
    diagnostics,
    load_network,
    print_json,
    print_page,
)
from netdsl.terminal import terminal_width

SPLITS = ("test", "validation", "train")


@command(
    FILE,
    option(
        "checkpoints",
        type=Path,
        nargs="+",
        files="*",
        metavar="CHECKPOINT",
        help="a checkpoint, an artifact, or the folder of a run; of several the mean of their predictions",
    ),
    SET,
    NET,
    option(
        "--on",
        dest="split",
        choices=SPLITS,
        default="test",
        metavar="SPLIT",
        help="test (default), validation or train",
    ),
    option("--confusion", action="store_true", help="show the confusion matrix, and write confusion.csv"),
    option(
        "--errors",
        type=at_least_1,
        metavar="N",
        help="show the N worst mistakes; pictures of them are drawn into errors.png",
    ),
    option(
        "--out",
        type=Path,
        files="/",
        metavar="DIR",
        help="folder for confusion.csv and errors.png (default: that of the checkpoint)",
    ),
    DEVICE,
    THREADS,
    FORMAT,
)
def app(
    file: Path,
    checkpoints: list[Path],
    settings: list[str],
    net: str | None,
    split: str,
    confusion: bool,
    errors: int | None,
    out: Path | None,
    device: str,
    threads: int | None,
    form: Format,
) -> None:
    """Evaluate trained weights; the folder of a run stands for its snapshots, else for its best checkpoint."""
    from netdsl.cli.confusion import Findings
    from netdsl.cli.progress import values_text
    from netdsl.train.examine import examine
    from netdsl.train.restore import restore_models
    from netdsl.train.run_folder import models_of

    if out is not None and not (confusion or errors):
        raise UsageError("argument --out: allowed with --confusion or --errors only")
    with diagnostics(form):
        target = find_target(device, threads=threads)
        files = [model for path in checkpoints for model in models_of(path)]
        models = restore_models(lambda batch: load_network(file, settings, net, batch), files, split, target)
        values = models.evaluate()
        judged = examine(models) if confusion or errors else ()
        found = Findings(models, judged, confusion, errors or 0)
        written = found.write(out or files[0].parent)
    if form is Format.json:
        print_json({"split": split, **values, **found.to_json()})
        return
    what = split if len(files) == 1 else f"{split}, mean of {len(files)} models"
    print_page(f"{what}: {values_text(values)}")
    for line in found.lines(terminal_width()):
        print(line)
    if written:
        print_page(f"written: {', '.join(map(str, written))}")
