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
        "checkpoint",
        type=Path,
        files="*.safetensors",
        metavar="CHECKPOINT",
        help="a checkpoint of netdsl train",
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
    checkpoint: Path,
    settings: list[str],
    net: str | None,
    split: str,
    device: str,
    threads: int | None,
    form: Format,
) -> None:
    """Evaluate trained weights."""
    from netdsl.train import evaluate_checkpoint

    with diagnostics(form):
        target = find_target(device, threads=threads)
        values = evaluate_checkpoint(
            lambda batch: load_network(file, settings, net, batch), checkpoint, split, target
        )
    if form is Format.json:
        print_json({"split": split, **values})
    else:
        from netdsl.cli.progress import values_text

        print_page(f"{split}: {values_text(values)}")
