"""Checkpoints: one file with everything that is needed to resume training.

One file, written beside and renamed, so that a crash at any moment leaves a whole one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netdsl.records import Count, Finite
from netdsl.runtime.artifact import Model
from netdsl.runtime.container import Array, read_container, write_container
from netdsl.source import Diagnostic, NetError, first_of, suggest
from netdsl.train.measures import Sums, Values


@dataclass(frozen=True)
class EpochResult:
    """What an epoch (from 1) came to: means over the training batches as they ran, and on the validation data.

    `lr` is the learning rate of its last step, without the factors of single weights.
    """

    epoch: Count
    lr: Finite
    train: Values
    validation: Values | None


@dataclass
class Progress:
    """Where training is and what it has seen.

    `epoch` and `batch` are the next ones to run, `step` counts steps from 0; `sums` is what the batches of the epoch
    have added up so far (see `Measures`); `best` is the best validation value so far; `history` has the
    epochs that are done.
    """

    epoch: Count = 0
    batch: Count = 0
    step: Count = 0
    sums: Sums = field(default_factory=dict)
    best: Finite | None = None
    history: list[EpochResult] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """What must not change when a run is resumed, so that it ends with the same bits, and what is told if it does.

    `objective` is the SHA-256 of the text of network and loss, `optimizer` its name and slots, `samples` the size
    of the training set, `settings` has every setting of the file as text.
    """

    seed: Count
    batch: Count
    samples: Count
    objective: str
    optimizer: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """The network; weights, states and optimiser slots by name; progress; what the run is."""

    model: Model
    arrays: Mapping[str, Array]
    progress: Progress
    run: Run


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; raises OSError of the file system."""
    about = {"model": checkpoint.model, "progress": checkpoint.progress, "run": checkpoint.run}
    write_container(path, "checkpoint", about, checkpoint.arrays)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises NetError for a file that is missing, damaged, too large or something else."""
    file = read_container(path, "checkpoint")
    model, progress, run = (
        file.record("model", Model),
        file.record("progress", Progress),
        file.record("run", Run),
    )
    return Checkpoint(model, file.arrays, progress, run)


def check_finite(arrays: Mapping[str, Array]) -> None:
    """Raise NetError where a weight, statistic or slot is infinite or NaN, so that it is never saved."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            message = f"{name} has values that are not finite, which no step makes: they were set, and are not saved"
            raise NetError(Diagnostic("nan", message))


def check_arrays(arrays: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise NetError unless names, shapes and types (float32) are the wanted ones."""
    missing, extra = sorted(wanted.keys() - arrays.keys()), sorted(arrays.keys() - wanted.keys())
    if missing or extra:
        near = suggest(missing[0], extra) if missing else None
        detail = f"it lacks {first_of(missing, 3)}" if missing else f"the network has no {first_of(extra, 3)}"
        fix = f"it has {near}: was the layer renamed?" if near else None
        raise _other_network(what, detail, fix)
    for name, shape in wanted.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            found = f"{arrays[name].dtype} {list(arrays[name].shape)}"
            raise _other_network(what, f"{name} is {found}, not float32 {list(shape)}", None)


def _other_network(what: str, detail: str, fix: str | None) -> NetError:
    return NetError(Diagnostic("checkpoint", f"{what} belongs to another network: {detail}", fix=fix))
