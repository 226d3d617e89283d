"""`netdsl eval FILE CHECKPOINT`: loss and metrics of trained weights on a split of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.backend.registry import find_target
from netdsl.cli.command import UsageError, at_least_1, command, option, path
from netdsl.cli.common import (
    DEVICE,
    EXACT,
    FILE,
    FORMAT,
    NET,
    PRECISION,
    SET,
    THREADS,
    Format,
    diagnostics,
    load_network,
    need_no_precision,
    precision_apart,
    print_json,
    print_page,
)
from netdsl.cli.folds import evaluate_folds, folds_json, folds_table
from netdsl.cli.sweeps import need_no_sweep
from netdsl.source import Diagnostic, NetError
from netdsl.terminal import terminal_width

if TYPE_CHECKING:
    from netdsl.elaborate import Network
    from netdsl.train.measures import Values

SPLITS = ("test", "validation", "train")


@command(
    FILE,
    option(
        "checkpoints",
        type=path,
        nargs="+",
        files="*",
        metavar="CHECKPOINT",
        help="a checkpoint, an artifact, the folder of a run or of folds; of several the mean of their predictions",
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
        type=path,
        files="/",
        metavar="DIR",
        help="folder for confusion.csv and errors.png (default: that of the checkpoint)",
    ),
    DEVICE,
    PRECISION,
    EXACT,
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
    precision: str | None,
    exact: bool | None,
    threads: int | None,
    form: Format,
) -> None:
    """Evaluate trained weights; the folder of a run stands for its snapshots, else for its best checkpoint.

    Of a folder of folds each is evaluated, by itself, with the mean and the spread of all.
    """
    from netdsl.cli.confusion import Findings
    from netdsl.cli.progress import values_text
    from netdsl.train.examine import examine
    from netdsl.train.folder import folds_in, models_of
    from netdsl.train.restore import restore_models

    if out is not None and not (confusion or errors):
        raise UsageError("argument --out: allowed with --confusion or --errors only")
    need_no_precision(settings)
    with diagnostics(form):
        need_no_sweep(checkpoints, partial(_typed, file, split))
        target = find_target(device, threads=threads, precision=precision, exact=exact)
        folds = [fold for path in checkpoints for fold in folds_in(path)]

        def network_of(batch: int) -> Network:
            return load_network(file, settings, net, batch)

        if folds:
            _need_alone(checkpoints, folds, confusion or bool(errors))
            _show_folds(evaluate_folds(network_of, folds, split, target), split, form)
            return
        files = [model for path in checkpoints for model in models_of(path)]
        models = restore_models(network_of, files, split, target)
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


def _show_folds(values: Sequence[Values], split: str, form: Format) -> None:
    """Show what each fold came to."""
    if form is Format.json:
        print_json({"split": split, **folds_json(values)})
        return
    print("\n".join(folds_table({"": values}, terminal_width())))
    own = "the fold that it set aside" if split == "validation" else f"the {split} set"
    print_page(f"(each fold by its best checkpoint, on {own})")


def _need_alone(checkpoints: Sequence[Path], folds: Sequence[Path], judged: bool) -> None:
    """Raise NetError for what needs one model, or the mean of several, where there are folds."""
    if len(checkpoints) > 1:
        message = f"{folds[0].parent} holds the folds of a cross-validation, which are evaluated one by one"
    elif judged:
        message = f"--confusion and --errors are of one model, and {checkpoints[0]} holds one for each fold"
    else:
        return
    fix = f"name the folds themselves, {folds[0]} ... {folds[-1].name}: of several the mean is evaluated"
    raise NetError(Diagnostic("checkpoint", message, fix=fix))


def _typed(file: Path, split: str, run: str, net: str | None, settings: Mapping[str, str]) -> list[str]:
    """The words that evaluate a run of a sweep."""
    words = ["netdsl", "eval", str(file), run, *(["--net", net] if net else [])]
    words += [] if split == "test" else ["--on", split]
    settings, precision = precision_apart(settings)
    return [*words, *(w for name, text in settings.items() for w in ("--set", f"{name}={text}")), *precision]
