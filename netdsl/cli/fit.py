"""A training in a terminal: its display, and what ends it."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import TYPE_CHECKING

from netdsl.cli.common import fail
from netdsl.cli.streams import ENDING, INTERRUPTED, cannot_print, drop_output, is_closed, on_signals, say
from netdsl.source import Diagnostic

if TYPE_CHECKING:
    from netdsl.cli.runs import GoOn
    from netdsl.train import Callback, FitResult, Trainer


def fit(trainer: Trainer, resume: bool, go_on: GoOn) -> FitResult:
    """Train.  Ctrl-C, `kill` and output that cannot be written end it, with a checkpoint and a message."""
    signals: list[int] = []

    def ending(number: int, frame: FrameType | None) -> None:
        if signals:
            raise SystemExit(128 + number)
        signals.append(number)
        trainer.stop()

    try:
        with on_signals(ENDING, ending):
            trainer.callbacks += _progress(trainer, resume)
            result = trainer.fit(resume)
    except KeyboardInterrupt:
        say("\n".join(["interrupted at once", *_kept(trainer, go_on)]))
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        if error.filename is not None:
            raise
        drop_output()
        message = f"{cannot_print(error)}, and training has stopped"
        fail([Diagnostic("output", message, fix=" ".join(_kept(trainer, go_on)))])
    if result.interrupted:
        over = result.epochs == trainer.settings.epochs
        when = "after the last epoch" if over else f"in epoch {result.epochs + 1}"
        say("\n".join([f"interrupted {when}", *_kept(trainer, go_on)]))
        raise SystemExit(128 + signals[0] if signals else INTERRUPTED)
    return result


def _kept(trainer: Trainer, go_on: GoOn) -> list[str]:
    """Where a run that was ended is kept, and how to go on."""
    return go_on.resume() if trainer.saved else ["nothing was saved"]


def _progress(trainer: Trainer, resume: bool) -> list[Callback]:
    """A progress bar in a terminal, plain lines elsewhere, nothing where output is closed."""
    from netdsl.cli.progress import Bars, Lines

    if is_closed():
        return []
    folder = trainer.out
    where = f" in {folder}" if resume else f" into {folder}" if folder else "; nothing is kept (--no-save)"
    bars = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return [Bars(where, trainer.data) if bars else Lines(where, trainer.data)]
