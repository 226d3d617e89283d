"""Checkpoints: one safetensors file with all arrays and, in its metadata, everything else as JSON.

One file, written beside and renamed, so that a crash at any moment leaves a whole one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from netdsl.files import atomic_write
from netdsl.runtime.memory import check_fits
from netdsl.source import Diagnostic, NetError, suggest

Array = NDArray[Any]
Values = dict[str, float]
FORMAT = "netdsl checkpoint 2"


@dataclass(frozen=True)
class EpochResult:
    """What an epoch (from 1) came to: means over the training batches as they ran, and on the validation data.

    `lr` is the learning rate of its last step, without the factors of single weights.
    """

    epoch: int
    lr: float
    train: Values
    validation: Values | None


@dataclass
class Progress:
    """Where training is and what it has seen.

    `epoch` and `batch` are the next ones to run, `step` counts steps from 0; `sums` are the running sums of the
    epoch's training values over `seen` samples; `best` is the best validation value so far; `history` has the
    epochs that are done.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seen: int = 0
    sums: Values = field(default_factory=dict)
    best: float | None = None
    history: list[EpochResult] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """What must not change when a run is resumed, so that it ends with the same bits, and what is told if it does.

    `objective` is the SHA-256 of the text of network and loss, `optimizer` its name and slots, `samples` the size
    of the training set, `settings` has every setting of the file as text.
    """

    seed: int
    batch: int
    samples: int
    objective: str
    optimizer: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """Weights, states and optimiser slots by name; the text of the network's graph; progress and numbers."""

    arrays: Mapping[str, Array]
    graph: str
    progress: Progress
    run: Run
    normalization: Any
    name: str


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; raises OSError of the file system."""
    about = {
        "format": FORMAT,
        "name": checkpoint.name,
        "graph": checkpoint.graph,
        "progress": asdict(checkpoint.progress),
        "run": asdict(checkpoint.run),
        "normalization": checkpoint.normalization,
    }
    arrays = {name: np.asarray(a, order="C") for name, a in checkpoint.arrays.items()}
    atomic_write(path, save(arrays, {"netdsl": json.dumps(about)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises NetError for a file that is missing, damaged, too large or something else."""
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {}).get("netdsl", "null"))
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise _error(path, "is not a checkpoint of this version of netdsl")
            # The file holds all bytes that its header announces, or safetensors does not open it.
            check_fits(path.stat().st_size, "the checkpoint")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        graph, progress, run = about["graph"], _progress(about["progress"]), _run(about["run"])
        return Checkpoint(arrays, _text(graph), progress, run, about["normalization"], _text(about["name"]))
    except FileNotFoundError:
        raise _error(path, "does not exist") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _error(path, f"cannot be read: {error}") from None


def check_arrays(arrays: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise NetError unless names, shapes and types (float32) are the wanted ones."""
    missing, extra = sorted(wanted.keys() - arrays.keys()), sorted(arrays.keys() - wanted.keys())
    if missing or extra:
        near = suggest(missing[0], extra) if missing else None
        detail = f"it lacks {_some(missing)}" if missing else f"the network has no {_some(extra)}"
        fix = f"it has {near}: was the layer renamed?" if near else None
        raise _other_network(what, detail, fix)
    for name, shape in wanted.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            found = f"{arrays[name].dtype} {list(arrays[name].shape)}"
            raise _other_network(what, f"{name} is {found}, not float32 {list(shape)}", None)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _other_network(what: str, detail: str, fix: str | None) -> NetError:
    return NetError(Diagnostic("checkpoint", f"{what} belongs to another network: {detail}", fix=fix))


def _progress(value: Any) -> Progress:
    counts = {name: _count(value[name]) for name in ("epoch", "batch", "step", "seen")}
    best = None if value["best"] is None else _number(value["best"])
    history = [
        EpochResult(
            _count(e["epoch"]),
            _number(e["lr"]),
            _values(e["train"]),
            None if e["validation"] is None else _values(e["validation"]),
        )
        for e in value["history"]
    ]
    return Progress(**counts, sums=_values(value["sums"]), best=best, history=history)


def _run(value: Any) -> Run:
    settings = {_text(name): _text(text) for name, text in dict(value["settings"]).items()}
    seed, batch, samples = (_count(value[name]) for name in ("seed", "batch", "samples"))
    return Run(seed, batch, samples, _text(value["objective"]), _text(value["optimizer"]), settings)


def _values(value: Any) -> Values:
    """Means, which alone may be infinite or NaN: a validation loss can be."""
    values = {_text(name): number for name, number in dict(value).items()}
    for number in values.values():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ValueError(f"{number!r} is not a number")
    return values


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _error(path: Path, reason: str) -> NetError:
    return NetError(Diagnostic("checkpoint", f"{path} {reason}"))
