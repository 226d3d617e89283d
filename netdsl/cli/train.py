"""`netdsl train FILE`: train a network on the data that its file names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.command import command, option
from netdsl.cli.common import FILE, NET, SET, THREADS, diagnostics, load_network

if TYPE_CHECKING:
    from netdsl.train import Listener

INTERRUPTED = 130


@command(
    FILE,
    SET,
    NET,
    option("--out", type=Path, metavar="DIR", help="folder for checkpoints and metrics.jsonl"),
    option("--resume", action="store_true", help="go on from the last checkpoint in --out"),
    THREADS,
)
def app(
    file: Path, settings: list[str], net: str | None, out: Path | None, resume: bool, threads: int | None
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
        raise SystemExit(INTERRUPTED)


def _listener() -> Listener:
    """A progress bar in a terminal, plain lines elsewhere."""
    from netdsl.cli.progress import Bars, Lines

    return Bars() if sys.stdout.isatty() else Lines()
