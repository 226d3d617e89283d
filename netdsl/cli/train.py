"""`netdsl train FILE`: train a network on the data that its file names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.backend.registry import find_target
from netdsl.cli.command import UsageError, command, option, path
from netdsl.cli.common import (
    DEVICE,
    EXACT,
    FILE,
    NET,
    PRECISION,
    SET,
    THREADS,
    diagnostics,
    load_network,
    parse_overrides,
    precision_apart,
    waiting,
    with_precision,
)
from netdsl.cli.streams import is_closed
from netdsl.source import Source, Span

if TYPE_CHECKING:
    from netdsl.data import DataPlan
    from netdsl.train import Trainer


def _kinds(words: str) -> tuple[str, ...]:
    """A `type` for `--watch`."""
    from netdsl.train.watch import need_kinds

    try:
        return need_kinds([word.strip() for word in words.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@command(
    FILE,
    SET,
    NET,
    option(
        "--out",
        type=path,
        files="/",
        metavar="DIR",
        help="folder for checkpoints and metrics.jsonl (default: a new one, runs/NAME-N)",
    ),
    option(
        "--start",
        type=path,
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
    option(
        "--watch",
        type=_kinds,
        default=(),
        metavar="KINDS",
        help="log norms by layer after each epoch: gradients,weights,activations, or some of them",
    ),
    option(
        "--tensorboard",
        action="store_true",
        help="write an event file for TensorBoard into the folder, which needs its library",
    ),
    DEVICE,
    PRECISION,
    EXACT,
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
    watch: tuple[str, ...],
    tensorboard: bool,
    device: str,
    precision: str | None,
    exact: bool | None,
    threads: int | None,
) -> None:
    """Train a network; settings come from its `train` and `data` sections."""
    from netdsl.cli.fit import fit
    from netdsl.cli.folds import train_folds
    from netdsl.cli.runs import GoOn, given
    from netdsl.train import Trainer
    from netdsl.train.cross_validation import fold_trainers
    from netdsl.train.folds import folds_of
    from netdsl.train.run_folder import Holds, need_place
    from netdsl.train.sections import training_sections

    if not keep and (out is not None or resume):
        raise UsageError(f"argument --no-save: not allowed with {'--out' if out else '--resume'}")
    if tensorboard and not keep:
        raise UsageError("argument --no-save: not allowed with --tensorboard")
    settings = with_precision(settings, precision)
    with diagnostics():
        target = find_target(device, threads=threads, exact=exact)
        sections = training_sections(load_network(file, settings, net))
        if not resume:
            need_place(out, Holds.FOLDS if folds_of(sections.network) else Holds.RUN)
        network = load_network(file, settings, net, sections.settings.batch)
        trainer = None
        if not folds_of(network):
            with waiting("compiling"):
                trainer = Trainer(network, device=target, start=start)
        data = sections.data if trainer is None else trainer.data
        with _folder(data, file, net, out, keep, resume) as folder:
            computing = (
                given("--device", device, "cpu") + given("--threads", threads) + ("--exact",) * bool(exact)
            )
            computing += given("--precision", sections.settings.precision or "f32", "f32")
            rest, _ = precision_apart(parse_overrides(settings))
            words = tuple(f"{name}={value}" for name, value in rest.items())
            seeing = given("--watch", ",".join(watch), "") + ("--tensorboard",) * tensorboard
            go_on = GoOn(file, words, net, folder, computing, seeing)
            if trainer is None:
                trainers = fold_trainers(network, folder, device=target, start=start)
                made = (_seen(t, watch, tensorboard, start) for t in trainers)
                lines = train_folds(made, go_on, resume)
            else:
                trainer.out = folder
                lines = go_on.after(fit(_seen(trainer, watch, tensorboard, start), resume, go_on))
            if not is_closed():
                print("".join(f"{line}\n" for line in lines), end="")


def _seen(trainer: Trainer, watch: tuple[str, ...], tensorboard: bool, start: Path | None) -> Trainer:
    """A trainer that tells more of its epochs, and of the command line where it is wrong."""
    trainer.watch = watch
    if start is not None:
        text = f"--start {start}"
        trainer.start_place = Span(Source("the command line", text), len("--start "), len(text))
    if tensorboard and trainer.out is not None:
        from netdsl.train.tensorboard import TensorBoard

        trainer.callbacks.append(TensorBoard(trainer.out))
    return trainer


@contextmanager
def _folder(
    data: DataPlan | None, file: Path, net: str | None, out: Path | None, keep: bool, resume: bool
) -> Iterator[Path | None]:
    """The folder of the run; settings and data are checked before it is created."""
    from netdsl.cli.runs import latest_run, new_run, run_name

    if out is not None or not keep:
        yield out
    elif resume:
        yield latest_run(run_name(file, net))
    else:
        with waiting("reading the data"):
            _ = data and data.train
        with new_run(run_name(file, net)) as folder:
            yield folder
