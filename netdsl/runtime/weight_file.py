"""Files of weights, whoever wrote them: what arrays there are, and reading those that are wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from netdsl.filetype import HEAD, content, not_wanted, open_file
from netdsl.machine import check_fits
from netdsl.runtime.container import read_container
from netdsl.runtime.stored import FLOATS, Array, Stored, row_major
from netdsl.runtime.torch_file import SAVE, TorchFile
from netdsl.source import Diagnostic, NetError

Shapes = Mapping[str, tuple[int, ...]]
WANTED = "a file of weights (a checkpoint, an artifact, safetensors, or a PyTorch state dict)"
_OWN = {"a netdsl checkpoint", "a netdsl artifact"}


@dataclass(frozen=True)
class WeightFile:
    """What is known of a file before its arrays are read.

    `kind` says what it is, `own` whether netdsl wrote it, `ordered` whether the order of `shapes` is that of the
    modules of a network.  `shapes` has the arrays of floats, without the slots of optimisers.
    """

    path: Path
    kind: str
    own: bool
    ordered: bool
    shapes: Shapes
    _read: Callable[[], Callable[[str], Array]]

    def read(self, names: Iterable[str]) -> dict[str, Array]:
        """Arrays by name, float32.

        Errors: NetError for a file that is damaged, and for numbers that are not finite.
        """
        one = self._read()
        found = {name: one(name) for name in names}
        for name, array in found.items():
            if not np.isfinite(array).all():
                message = f"{name} in {self.path} has values that are not finite in float32"
                raise NetError(Diagnostic("weights", message))
        return found


def open_weights(path: Path) -> WeightFile:
    """Look into a file of weights; raises NetError for one that is missing, damaged or something else."""
    with open_file(path, "weights", WANTED) as file:
        kind = content(file.read(HEAD))
    if kind == "a PyTorch file (.pth)":
        torch = TorchFile(path)
        return WeightFile(
            path, "a PyTorch state dict", False, True, _floats(torch.arrays), lambda: torch.read
        )
    if kind in _OWN or kind.startswith("a safetensors file"):
        arrays = _safetensors(path)
        own = kind in _OWN
        if own:
            shapes = {n: s for n, s in _floats(arrays).items() if "/" not in n}
            return WeightFile(path, kind, True, False, shapes, lambda: _own(path))
        return WeightFile(
            path, "a safetensors file", False, False, _floats(arrays), lambda: _others(path, arrays)
        )
    fix = f"with PyTorch 1.6 or later: {SAVE}" if "pickle" in kind else None
    raise not_wanted(path, "weights", kind, WANTED, fix)


def _floats(arrays: Mapping[str, Stored]) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays that can be weights: no counters."""
    return {name: stored.shape for name, stored in arrays.items() if stored.dtype in FLOATS}


def _own(path: Path) -> Callable[[str], Array]:
    return read_container(path, "checkpoint", "artifact").arrays.__getitem__


def _safetensors(path: Path) -> dict[str, Stored]:
    """The arrays of a safetensors file, in the order of their bytes; `offset` counts bytes from their beginning."""
    try:
        with safe_open(path, "numpy"):
            pass  # names, types, sizes and offsets are checked against the file
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (SafetensorError, OSError, ValueError, RecursionError):
        message = f"{path} is damaged: it is cut off, or its header was changed"
        raise NetError(Diagnostic("weights", message, fix="take another copy of the file")) from None
    head.pop("__metadata__", None)
    entries: list[tuple[str, Any]] = sorted(head.items(), key=lambda e: e[1]["data_offsets"])
    return {
        name: Stored(e["dtype"], tuple(e["shape"]), row_major(e["shape"]), 0, str(e["data_offsets"][0]))
        for name, e in entries
    }


def _others(path: Path, arrays: Mapping[str, Stored]) -> Callable[[str], Array]:
    check_fits(path.stat().st_size, "the file of weights")

    def read(name: str) -> Array:
        stored = arrays[name]
        with path.open("rb") as file:
            head = int.from_bytes(file.read(8), "little")
            file.seek(8 + head + int(stored.storage))
            size = int(np.prod(stored.shape, dtype=np.int64)) * FLOATS[stored.dtype]
            return stored.read(file.read(size))

    return read
