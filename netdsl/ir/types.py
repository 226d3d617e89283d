"""Tensor types: a shape and an element type."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netdsl.limits import MAX_ELEMENTS, MAX_RANK
from netdsl.scalar.operators import Dtype

NUMPY_DTYPE: dict[str, str] = {"f32": "float32", "i64": "int64", "bool": "bool"}
FLOAT_MAX = (2 - 2.0**-23) * 2.0**127  # the largest f32
FLOAT_MIN = 2.0**-126  # the smallest normal number above 0
WORDS: dict[str, str] = {"f32": "numbers", "i64": "labels", "bool": "conditions"}
ITEM_SIZE = {"f32": 4, "i64": 8, "bool": 1}


@dataclass(frozen=True, slots=True)
class TensorType:
    """`f32[8,28,28,1]`: row-major, channels last, the batch first where there is one."""

    shape: tuple[int, ...]
    dtype: Dtype = "f32"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def words(self) -> str:
        """The type in messages, without the batch: `numbers [28, 28, 1]`, `labels []`, `conditions [4]`."""
        return f"{WORDS[self.dtype]} {list(self.shape[1:])}"

    @property
    def size(self) -> int:
        """Number of elements, an exact Python integer."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes when stored densely."""
        return math.prod(self.shape) * ITEM_SIZE[self.dtype]

    def over_limits(self) -> str | None:
        """The limit that this type exceeds, in words; None if it exceeds none.  Nothing is allocated."""
        if self.rank > MAX_RANK:
            return f"a tensor of rank {self.rank}; at most {MAX_RANK} are allowed"
        if self.size > MAX_ELEMENTS:
            shape = ", ".join(map(str, self.shape))
            return f"a tensor [{shape}] has {self.size:_} elements; at most {MAX_ELEMENTS:_} are allowed"
        return None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's broadcast of shapes; raises ValueError when they do not fit."""
    distinct = {s for s in shapes if s}
    if len(distinct) < 2:  # as nearly always
        return distinct.pop() if distinct else ()
    rank = max(map(len, distinct))
    out: list[int] = []
    for axis in range(-rank, 0):
        sizes = {s[axis] for s in distinct if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            raise ValueError(f"sizes {sorted(sizes)} do not broadcast")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def source_axes(shape: tuple[int, ...], into: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `into` along which a value of `shape` is repeated when broadcast."""
    lead = len(into) - len(shape)
    return tuple(k for k in range(len(into)) if k < lead or (shape[k - lead] == 1 and into[k] != 1))
