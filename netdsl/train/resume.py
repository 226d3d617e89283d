"""Whether training can be resumed from a checkpoint: what must be the same, and what may have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from netdsl.elaborate import Network
from netdsl.ops.rebatch import with_batch
from netdsl.source import Diagnostic, NetError, counted
from netdsl.train.checkpoint import Checkpoint, Run, check_arrays
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.make import name_in
from netdsl.train.optimizers import OPTIMIZERS, Optimizer
from netdsl.train.settings import TrainSettings, settings_text
from netdsl.train.tables import AVERAGES


def describe_run(network: Network, settings: TrainSettings, samples: int) -> Run:
    """What identifies a run of these settings on `samples` training samples."""
    assert network.objective is not None
    text = str(with_batch(network.objective, settings.batch))
    digest = hashlib.sha256(text.encode()).hexdigest()
    optimizer = _optimizer(settings)
    text_of = settings_text(network)
    if settings.start is not None:
        text_of["train.start"] = settings.start.text
    return Run(settings.seed, settings.batch, samples, digest, optimizer, text_of)


def check_resume(
    checkpoint: Checkpoint, now: Run, shapes: Mapping[str, tuple[int, ...]], sums: Mapping[str, int]
) -> dict[str, tuple[str | None, str | None]]:
    """Raise NetError when a run cannot go on from a checkpoint; returns the settings that differ, old and new.

    `shapes` has the shape of every array of the checkpoint by name, `sums` the size of each sum of an epoch.  Epochs,
    learning rate and schedule may differ, because users change them on purpose.
    """
    then = checkpoint.run
    for name, old, new in (("seed", then.seed, now.seed), ("batch", then.batch, now.batch)):
        if old != new:
            raise _differs(f"was trained with {name} = {old}, not {new}", f"--set train.{name}={old}")
    if then.optimizer != now.optimizer:
        raise _differs(f"was trained with {then.optimizer}, not {now.optimizer}")
    if then.samples != now.samples:
        raise _differs(f"was trained on {counted(then.samples, 'sample')}; now there are {now.samples}")
    names = sorted(then.settings.keys() | now.settings.keys())
    changed = {name: (then.settings.get(name), now.settings.get(name)) for name in names}
    changed = {name: (old, new) for name, (old, new) in changed.items() if old != new}
    for name, (was, given) in changed.items():
        if name.startswith("data.") and name != "data.test":
            raise _differs(f"was trained with {name} = {was or 'its default'}, not {given or 'its default'}")
    was, given = changed.get("train.start", (None, None))
    if given is not None:
        raise _differs(f"was started from {was or 'the initialisers'}, not from {given}")
    check_arrays(checkpoint.arrays, shapes, "the checkpoint")
    if then.objective != now.objective:
        raise _differs("was trained with another network, loss or list of metrics")
    found = {name: len(parts) for name, parts in checkpoint.progress.sums.items()}
    if found != (sums if checkpoint.progress.batch else {}):
        raise _differs("adds up other numbers within an epoch than its loss and metrics do")
    return changed


def _optimizer(settings: TrainSettings) -> str:
    """What the arrays of a checkpoint beside the weights are there for."""
    optimizer = settings.optimizer
    if not isinstance(optimizer, Optimizer):
        return name_in(FULL_BATCH, optimizer)
    name = name_in(OPTIMIZERS, optimizer)
    slots = optimizer.used_slots()
    text = f"{name} (which keeps {', '.join(slots)})" if slots else f"{name} without momentum"
    if settings.accumulate > 1:
        text += f", accumulate = {settings.accumulate}"
    return text if settings.average is None else f"{text}, average = {name_in(AVERAGES, settings.average)}"


def _differs(what: str, fix: str | None = None) -> NetError:
    fix = fix or "use the same settings, or start anew without --resume"
    return NetError(Diagnostic("checkpoint", f"the checkpoint {what}", fix=fix))
