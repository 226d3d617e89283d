"""Arrays in files of others: what their types are called, and their bytes as float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.limits import MAX_ELEMENTS, MAX_RANK

Array = NDArray[Any]

FLOATS = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}
"""The types that weights may have, as safetensors calls them, and the bytes of a number."""


@dataclass(frozen=True)
class Stored:
    """An array of `dtype` (of `FLOATS`; another one is no weight) within `storage`, a file or a part of one.

    It begins at element `offset`, and its axes have `strides`, in elements.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: str

    def check(self, elements: int) -> None:
        """Raise ValueError where it is no box of numbers, each at a place of its own, in a storage of so many."""
        numbers = (*self.shape, *self.strides, self.offset)
        if any(type(n) is not int or not 0 <= n <= MAX_ELEMENTS for n in numbers):
            raise ValueError("an array has sizes that cannot be true")
        if len(self.shape) > MAX_RANK or len(self.shape) != len(self.strides):
            raise ValueError(f"an array has {len(self.shape)} axes and {len(self.strides)} strides")
        size = math.prod(self.shape)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if size > elements or (size and last >= elements):
            raise ValueError(f"an array of shape {list(self.shape)} is larger than the part that holds it")

    def read(self, data: bytes, order: str = "<") -> Array:
        """The array as float32 from the bytes of its storage, in the byte order `<` or `>`."""
        flat = _numbers(data, self.dtype, order)
        steps = [s * flat.itemsize for s in self.strides]
        view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps, writeable=False)
        with np.errstate(over="ignore"):
            return np.array(view, np.float32, order="C")


def _numbers(data: bytes, dtype: str, order: str) -> Array:
    if dtype == "BF16":
        # The upper half of a float32.
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, f"{order}f{FLOATS[dtype]}")


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array whose numbers stand in order, in elements."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))
