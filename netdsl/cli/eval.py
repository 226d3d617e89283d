"""`netdsl eval FILE CHECKPOINT`: loss and metrics of trained weights on a split of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli.common import (
    FileArgument,
    Format,
    FormatOption,
    NetOption,
    SetOption,
    ThreadsOption,
    diagnostics,
    load_network,
    print_json,
)

app = typer.Typer(add_completion=False)


@app.command("eval")
def eval_(
    file: FileArgument,
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="a checkpoint of netdsl train")],
    settings: SetOption = None,
    net: NetOption = None,
    split: Annotated[str, typer.Option("--on", help="test, validation or train")] = "test",
    threads: ThreadsOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Evaluate trained weights."""
    from netdsl.train import evaluate_checkpoint

    if split not in ("test", "validation", "train"):
        raise typer.BadParameter("must be test, validation or train", param_hint="--on")
    with diagnostics(form):
        values = evaluate_checkpoint(
            lambda batch: load_network(file, settings, net, batch), checkpoint, split, threads
        )
    if form is Format.json:
        print_json({"split": split, **values})
    else:
        from netdsl.cli.progress import values_text

        print(f"{split}: {values_text(values)}")
