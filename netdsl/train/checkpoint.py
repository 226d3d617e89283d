"""Checkpoints: one safetensors file with all arrays and, in its metadata, everything else as JSON.

One file, written beside and renamed, so that a crash at any moment leaves a whole one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from netdsl.files import atomic_write
from netdsl.source import Diagnostic, NetError

Array = NDArray[Any]
FORMAT = "netdsl checkpoint 1"


@dataclass
class Progress:
    """Where training is and what it has seen.

    `epoch` and `batch` are the next ones to run, `step` counts steps from 0; `sums` are the running sums of the
    epoch's training values over `seen` samples; `best` is the best validation value so far.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seen: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Weights, states and optimiser slots by name; the text of the network's graph; progress and numbers."""

    arrays: Mapping[str, Array]
    graph: str
    progress: Progress
    seed: int
    normalization: Any
    name: str


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; raises OSError of the file system."""
    about = {
        "format": FORMAT,
        "name": checkpoint.name,
        "graph": checkpoint.graph,
        "progress": asdict(checkpoint.progress),
        "seed": checkpoint.seed,
        "normalization": checkpoint.normalization,
    }
    arrays = {name: np.ascontiguousarray(a) for name, a in checkpoint.arrays.items()}
    atomic_write(path, save(arrays, {"netdsl": json.dumps(about)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises NetError for a file that is missing, damaged or something else."""
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {}).get("netdsl", "null"))
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise _error(path, "is not a checkpoint of this version of netdsl")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return Checkpoint(
            arrays,
            str(about["graph"]),
            Progress(**about["progress"]),
            int(about["seed"]),
            about["normalization"],
            str(about["name"]),
        )
    except FileNotFoundError:
        raise _error(path, "does not exist") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _error(path, f"cannot be read: {error}") from None


def check_arrays(arrays: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise NetError unless names and shapes are the wanted ones."""
    missing, extra = sorted(wanted.keys() - arrays.keys()), sorted(arrays.keys() - wanted.keys())
    if missing or extra:
        detail = f"missing {', '.join(missing[:3])}" if missing else f"unknown {', '.join(extra[:3])}"
        raise NetError(Diagnostic("checkpoint", f"{what} belongs to another network: {detail}"))
    for name, shape in wanted.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            found = f"{arrays[name].dtype} {list(arrays[name].shape)}"
            message = f"{what} belongs to another network: {name} is {found}, not float32 {list(shape)}"
            raise NetError(Diagnostic("checkpoint", message))


def _error(path: Path, reason: str) -> NetError:
    return NetError(Diagnostic("checkpoint", f"{path} {reason}"))
