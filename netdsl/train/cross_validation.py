"""The trainings of a cross-validation, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from netdsl.backend.registry import Device
from netdsl.data import DataPlan
from netdsl.elaborate import Network, need_network
from netdsl.files import atomic_write
from netdsl.source import Diagnostic, NetError
from netdsl.train.callback import Callback, need_callbacks
from netdsl.train.folds import FOLDS, CrossValidation, fold_folder, folds_of, in_fold
from netdsl.train.run_folder import LAST, Holds, finite, need_folder, need_place, writing
from netdsl.train.trainer import Trainer


def cross_validate(
    network: Network,
    out: Path | str | None = None,
    data: DataPlan | None = None,
    device: Device = "cpu",
    threads: int | None = None,
    callbacks: Callable[[], Iterable[Callback]] = tuple,
    start: Path | str | None = None,
    resume: bool = False,
) -> CrossValidation:
    """Train a network once for each of `data.folds`, each time with another fold as the validation set.

    Everything else is as in `Trainer`; `callbacks` makes those of a training.  In `out` each fold has a folder of its
    own, `fold-1` and so on, and `folds.json` has the values, their mean and their spread.  With `resume` folds that
    are done stay as they are, and one that was interrupted goes on; a training that is interrupted ends it all.
    """
    need_network(network, "netdsl.cross_validate")
    need_folder(out, "netdsl.cross_validate")
    if not callable(callbacks):
        raise TypeError("callbacks makes those of each training: callbacks=lambda: [EarlyStopping()]")
    folder = None if out is None else Path(out)
    begin(folder, resume)
    results = []
    for trainer in fold_trainers(network, folder, data, device, threads, start):
        trainer.callbacks += need_callbacks(callbacks())
        results.append(trainer.fit(resume and can_resume(trainer)))
        if results[-1].interrupted:
            return CrossValidation(tuple(results))
    found = CrossValidation(tuple(results))
    save(found, folder)
    return found


def fold_trainers(
    network: Network,
    out: Path | None,
    data: DataPlan | None = None,
    device: Device = "cpu",
    threads: int | None = None,
    start: Path | str | None = None,
) -> Iterator[Trainer]:
    """The trainer of each fold, made when the one before it has ended.

    Errors: NetError where the data has no folds, or one of them is chosen.
    """
    shares = None if data is None else data.shares
    count = folds_of(network) if shares is None else shares.folds if shares.fold is None else None
    if count is None:
        fix = "data { folds = 5 }, and no data.fold"
        raise NetError(Diagnostic("data", "a cross-validation needs data in several folds", fix=fix))
    for number in range(1, count + 1):
        own = network if data is not None else in_fold(network, number)
        plan = None if data is None else data.in_fold(number)
        yield Trainer(own, fold_folder(out, number), plan, device, threads, start=start)


def can_resume(trainer: Trainer) -> bool:
    """Whether the training of a fold has begun."""
    return trainer.out is not None and (trainer.out / LAST).exists()


def begin(out: Path | None, resume: bool) -> None:
    """Take away the `folds.json` of an older cross-validation; with `resume` look whether there is one to go on with.

    Errors: NetError where there is none.
    """
    if resume:
        if out is None:
            raise _nothing("there is no folder to resume from", "give --out DIR")
        if not (out / "fold-1" / LAST).exists():
            is_run = (out / LAST).exists()
            message = (
                f"{out} holds a run without folds" if is_run else f"there is no cross-validation in {out}"
            )
            raise _nothing(
                message, "--set data.folds=none goes on with it" if is_run else "leave out --resume"
            )
    elif out is not None:
        need_place(out, Holds.FOLDS)
        with writing(out):
            (out / FOLDS).unlink(missing_ok=True)


def _nothing(message: str, fix: str) -> NetError:
    return NetError(Diagnostic("checkpoint", message, fix=fix))


def save(found: CrossValidation, out: Path | None) -> None:
    """Write `folds.json`."""
    if out is not None:
        text = json.dumps(finite(found.to_json()), indent=2, allow_nan=False)
        with writing(out):
            atomic_write(out / FOLDS, f"{text}\n".encode())
