"""`netdsl train FILE`: train a network on the data that its file names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from netdsl.backend.registry import find_target
from netdsl.cli.command import UsageError, command, option
from netdsl.cli.common import (
    DEVICE,
    FILE,
    NET,
    SET,
    THREADS,
    diagnostics,
    fail,
    load_network,
    waiting,
)
from netdsl.cli.streams import ENDING, INTERRUPTED, cannot_print, drop_output, is_closed, on_signals, say
from netdsl.source import Diagnostic

if TYPE_CHECKING:
    from netdsl.cli.runs import GoOn
    from netdsl.train import Callback, FitResult, Trainer


@command(
    FILE,
    SET,
    NET,
    option(
        "--out",
        type=Path,
        files="/",
        metavar="DIR",
        help="folder for checkpoints and metrics.jsonl (default: a new one, runs/NAME-N)",
    ),
    option(
        "--start",
        type=Path,
        files="*",
        metavar="FILE",
        help="weights to start from: a checkpoint, an artifact, safetensors, or a PyTorch state dict",
    ),
    option("--no-save", dest="keep", action="store_false", help="keep nothing"),
    option(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in --out (default: that of the newest run of this name)",
    ),
    DEVICE,
    THREADS,
)
def app(
    file: Path,
    settings: list[str],
    net: str | None,
    out: Path | None,
    start: Path | None,
    keep: bool,
    resume: bool,
    device: str,
    threads: int | None,
) -> None:
    """Train a network; settings come from its `train` and `data` sections."""
    from netdsl.cli.runs import GoOn
    from netdsl.train import Trainer
    from netdsl.train.sections import training_sections

    if not keep and (out is not None or resume):
        raise UsageError(f"argument --no-save: not allowed with {'--out' if out else '--resume'}")
    with diagnostics():
        target = find_target(device, threads=threads)
        batch = training_sections(load_network(file, settings, net)).settings.batch
        with waiting("compiling"):
            trainer = Trainer(load_network(file, settings, net, batch), device=target, start=start)
        with _folder(trainer, file, net, out, keep, resume) as trainer.out:
            go_on = GoOn(file, tuple(settings), net, trainer.out)
            result = _fit(trainer, resume, go_on)
            if not is_closed():
                print("".join(f"{line}\n" for line in go_on.after(result)), end="")


@contextmanager
def _folder(
    trainer: Trainer, file: Path, net: str | None, out: Path | None, keep: bool, resume: bool
) -> Iterator[Path | None]:
    """The folder of the run; settings and data are checked before it is created."""
    from netdsl.cli.runs import latest_run, new_run, run_name

    if out is not None or not keep:
        yield out
    elif resume:
        yield latest_run(run_name(file, net))
    else:
        with waiting("reading the data"):
            _ = trainer.data.train
        with new_run(run_name(file, net)) as folder:
            yield folder


def _fit(trainer: Trainer, resume: bool, go_on: GoOn) -> FitResult:
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
        say("\n".join(["interrupted at once", *go_on.resume()]))
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        if error.filename is not None:
            raise
        drop_output()
        message = f"{cannot_print(error)}, and training has stopped"
        fail([Diagnostic("output", message, fix=" ".join(go_on.resume()) or "nothing was kept")])
    if result.interrupted:
        say("\n".join([f"interrupted in epoch {result.epochs + 1}", *go_on.resume()]))
        raise SystemExit(128 + signals[0] if signals else INTERRUPTED)
    return result


def _progress(trainer: Trainer, resume: bool) -> list[Callback]:
    """A progress bar in a terminal, plain lines elsewhere, nothing where output is closed."""
    from netdsl.cli.progress import Bars, Lines

    if is_closed():
        return []
    folder = trainer.out
    where = f" in {folder}" if resume else f" into {folder}" if folder else "; nothing is kept (--no-save)"
    bars = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return [Bars(where, trainer.data) if bars else Lines(where, trainer.data)]
