"""The static memory plan: where in one arena each buffer lives while it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`size` bytes that are needed from call number `first` to call number `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both are needed at some moment."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A byte offset for each lifetime, and the size of the arena that holds them all."""

    offsets: tuple[int, ...]
    size: int


def aligned(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan_memory(lifetimes: Sequence[Lifetime]) -> MemoryPlan:
    """Place the largest first, each at the lowest offset that is free for its whole life.

    Greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.
    """
    order = sorted(range(len(lifetimes)), key=lambda k: (-lifetimes[k].size, lifetimes[k].first, k))
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for k in order:
        taken = sorted(
            (offsets[j], offsets[j] + aligned(lifetimes[j].size))
            for j in placed
            if lifetimes[j].meets(lifetimes[k])
        )
        offsets[k] = _lowest_gap(taken, aligned(lifetimes[k].size))
        if lifetimes[k].size:
            placed.append(k)
    size = max((offsets[k] + aligned(lifetimes[k].size) for k in placed), default=0)
    return MemoryPlan(tuple(offsets), size)


def _lowest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    at = 0
    for start, end in taken:
        if start - at >= size:
            break
        at = max(at, end)
    return at


def check_plan(lifetimes: Sequence[Lifetime], plan: MemoryPlan) -> None:
    """Raise ValueError unless no two buffers share a byte at any moment, all aligned and inside the arena."""
    spans = [
        (offset, offset + life.size, k)
        for k, (life, offset) in enumerate(zip(lifetimes, plan.offsets, strict=True))
        if life.size
    ]
    for start, end, k in spans:
        if start % ALIGNMENT or start < 0 or end > plan.size:
            raise ValueError(f"buffer {k} lies at {start}..{end} of an arena of {plan.size} bytes")
    spans.sort()
    for position, (_, end, k) in enumerate(spans):
        for start, _, j in spans[position + 1 :]:
            if start >= end:
                break
            if lifetimes[k].meets(lifetimes[j]):
                raise ValueError(f"buffers {k} and {j} share memory while both are needed")
