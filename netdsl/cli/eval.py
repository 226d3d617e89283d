"""`netdsl eval FILE CHECKPOINT`: loss and metrics of trained weights on a split of the data."""

from __future__ import annotations

from pathlib import Path

from netdsl.backend.registry import find_target
from netdsl.cli.command import command, option
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
    device: str,
    threads: int | None,
    form: Format,
) -> None:
    """Evaluate trained weights; the folder of a run stands for its snapshots, else for its best checkpoint."""
    from netdsl.train import evaluate_checkpoint
    from netdsl.train.run_folder import models_of

    with diagnostics(form):
        target = find_target(device, threads=threads)
        files = [model for path in checkpoints for model in models_of(path)]
        values = evaluate_checkpoint(
            lambda batch: load_network(file, settings, net, batch), files, split, target
        )
    if form is Format.json:
        print_json({"split": split, **values})
    else:
        from netdsl.cli.progress import values_text

        what = split if len(files) == 1 else f"{split}, mean of {len(files)} models"
        print_page(f"{what}: {values_text(values)}")
