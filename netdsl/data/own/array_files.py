"""Arrays in files that are larger than memory: samples are read when a batch needs them.

They are read, not mapped into memory: what was read counts as this process's memory as long as a batch holds it, and
a file that becomes shorter meanwhile is an error, not a crash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.stored import Shape
from netdsl.data.stream import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

STORED = 2**30
"""Bytes from which an array stays in its file."""


@dataclass(frozen=True, eq=False)
class FileArray:
    """An array [n, ...] in row-major order that begins at a byte of a file, in the type that it has there.

    title: what it is called in messages.  kept: whatever has to live as long as the file is needed.
    """

    path: Path
    start: int
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    title: str
    kept: object = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type, in native byte order."""
        native: np.dtype[Any] = self.kind.newbyteorder("=")
        return native

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """The one shape of all."""
        return {self.shape[1:]: self.name(0)}

    def __len__(self) -> int:
        return self.shape[0]

    def name(self, index: int) -> str:
        """The name of the array, and the number."""
        return f"sample {index} of {self.title}"

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Read the samples; those that lie one after the other in one go."""
        rows = np.empty((len(indices), *self.shape[1:]), self.kind)
        size = math.prod(self.shape[1:]) * self.kind.itemsize
        space = rows.reshape(-1).view(np.uint8).data
        # where a sample does not follow the one before
        cuts = [0, *(np.flatnonzero(np.diff(indices) != 1) + 1).tolist(), len(indices)]
        with reading(self.path), open(self.path, "rb", buffering=0) as file:  # noqa: PTH123
            for first, last in pairwise(cuts):
                if first < last:
                    file.seek(self.start + int(indices[first]) * size)
                    self._fill(file, space[first * size : last * size])
        return rows.astype(self.dtype, copy=False)

    def _fill(self, file: Any, space: memoryview) -> None:
        while len(space):
            count = file.readinto(space)
            if not count:
                raise data_error(f"{self.path} ends too early: it was longer when training began")
            space = space[count:]


def is_large(shape: tuple[int, ...], kind: np.dtype[Any]) -> bool:
    """Whether an array stays in its file."""
    return len(shape) > 1 and math.prod(shape) * kind.itemsize >= STORED
