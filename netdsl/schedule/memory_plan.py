"""The static memory plan: where in one arena each buffer lives while it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`size` bytes that are needed from call number `first` to call number `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether the two lifetimes overlap."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A byte offset for each lifetime, and the size of the arena that holds them all."""

    offsets: tuple[int, ...]
    size: int


def aligned(size: int, alignment: int = ALIGNMENT) -> int:
    """`size` rounded up to a multiple of the alignment."""
    return -(-size // alignment) * alignment


def plan_memory(lifetimes: Sequence[Lifetime], alignment: int = ALIGNMENT) -> MemoryPlan:
    """Place buffers from large to small, each at the lowest offset that is free during its lifetime.

    Greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.
    """
    order = sorted(
        (k for k, life in enumerate(lifetimes) if life.size),
        key=lambda k: (-lifetimes[k].size, lifetimes[k].first, k),
    )
    offsets = [0] * len(lifetimes)
    # Rows of what is placed: first and last call, start and end in the arena.
    placed = np.empty((4, len(order)), np.int64)
    for count, k in enumerate(order):
        life = lifetimes[k]
        first, last, starts, ends = placed[:, :count]
        meets = (first <= life.last) & (last >= life.first)
        offsets[k] = _lowest_gap(starts[meets], ends[meets], aligned(life.size, alignment))
        placed[:, count] = life.first, life.last, offsets[k], offsets[k] + aligned(life.size, alignment)
    return MemoryPlan(tuple(offsets), int(placed[3].max(initial=0)))


def _lowest_gap(starts: NDArray[np.int64], ends: NDArray[np.int64], size: int) -> int:
    """The lowest place for `size` bytes between spans that may overlap."""
    order = np.argsort(starts, kind="stable")
    free = np.concatenate([[0], np.maximum.accumulate(ends[order])])
    fits = np.flatnonzero(starts[order] - free[:-1] >= size)
    return int(free[fits[0]] if len(fits) else free[-1])


def check_plan(lifetimes: Sequence[Lifetime], plan: MemoryPlan, alignment: int = ALIGNMENT) -> None:
    """Raise ValueError unless no two buffers share a byte at any moment, all aligned and inside the arena."""
    spans = [
        (offset, offset + life.size, k)
        for k, (life, offset) in enumerate(zip(lifetimes, plan.offsets, strict=True))
        if life.size
    ]
    for start, end, k in spans:
        if start % alignment or start < 0 or end > plan.size:
            raise ValueError(f"buffer {k} lies at {start}..{end} of an arena of {plan.size} bytes")
    spans.sort()
    for position, (_, end, k) in enumerate(spans):
        for start, _, j in spans[position + 1 :]:
            if start >= end:
                break
            if lifetimes[k].meets(lifetimes[j]):
                raise ValueError(f"buffers {k} and {j} share memory while both are needed")
