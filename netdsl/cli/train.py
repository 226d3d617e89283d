"""`netdsl train FILE`: train a network on the data that its file names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netdsl.cli.common import FileArgument, NetOption, SetOption, ThreadsOption, diagnostics, load_network

if TYPE_CHECKING:
    from netdsl.train import Listener

app = typer.Typer(add_completion=False)
INTERRUPTED = 130


@app.command()
def train(
    file: FileArgument,
    settings: SetOption = None,
    net: NetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for checkpoints and metrics.jsonl")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint in --out")] = False,
    threads: ThreadsOption = None,
) -> None:
    """Train a network; settings come from its `train` and `data` sections."""
    from netdsl.train import Trainer, train_settings

    with diagnostics():
        batch = train_settings(load_network(file, settings, net)).batch
        trainer = Trainer(load_network(file, settings, net, batch), out, threads=threads)
        result = trainer.fit(resume, _listener())
    if result.interrupted:
        saved = f"; {out / 'last.safetensors'} is saved, --resume goes on" if out else ""
        print(f"interrupted in epoch {result.epochs + 1}{saved}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)


def _listener() -> Listener:
    """A progress bar in a terminal, plain lines elsewhere."""
    from netdsl.cli.progress import Bars, Lines

    return Bars() if sys.stdout.isatty() else Lines()
