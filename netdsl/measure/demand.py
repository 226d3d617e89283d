"""What the calls of a program must do, as the cost model counts it, and how fast a device could do that at best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.ceilings import Ceilings
from netdsl.backend.layout import Layout
from netdsl.backend.lower import LoweredCall
from netdsl.cost import primitive_flops, primitive_work
from netdsl.schedule import View

Bound = Literal["compute", "memory"]
PAGE = 4096


@dataclass(frozen=True)
class Moved:
    """Bytes that a call reads, or writes, and how many others have been touched since they were last."""

    size: int
    reach: int
    written: bool


@dataclass(frozen=True)
class Demand:
    """FLOPs, work in additions that take as long, and bytes: operands are read once, results written once."""

    flops: int
    additions: int
    moved: tuple[Moved, ...]

    @property
    def bytes(self) -> int:
        """All bytes moved."""
        return sum(m.size for m in self.moved)

    def limits(self, c: Ceilings) -> dict[Bound, float]:
        """Seconds of the work at the peak, and of the bytes at the bandwidths of where they are found."""
        memory = sum((c.write_time if m.written else c.read_time)(m.size, m.reach) for m in self.moved)
        return {"compute": 2 * self.additions / c.peak, "memory": memory}


def demands(layout: Layout) -> list[Demand]:
    """The demand of each call of a run, in order, after runs before it."""
    touched = _Touched(layout)
    for call in layout.lowered.run:
        touched.move(call)
    return [_demand(call, touched.move(call)) for call in layout.lowered.run]


def limit(layout: Layout, ceilings: Ceilings) -> float:
    """The seconds that a run takes at least: of each call the longer of operations and bytes."""
    return sum(max(demand.limits(ceilings).values()) for demand in demands(layout))


def _demand(call: LoweredCall[Any], moved: Sequence[Moved]) -> Demand:
    types = [view.type for view in call.operands]
    return Demand(primitive_flops(call.node, types), primitive_work(call.node, types), tuple(moved))


class _Touched:
    """When each page of memory was touched, in bytes moved: caches hold what was touched last."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._now = layout, 0
        end = max((arena.size for arena in layout.arenas.values()), default=0)
        self._starts = dict(layout.offsets)
        for b in layout.schedule.leaves.values():  # each has memory of its own
            self._starts[b] = end
            end += -(-layout.lowered.buffers[b].type.nbytes // PAGE) * PAGE
        self._last: NDArray[np.int64] = np.zeros(-(-end // PAGE) + 1, np.int64)

    def move(self, call: LoweredCall[Any]) -> list[Moved]:
        """The bytes of a call, which are touched now."""
        found = [Moved(_distinct(v), self._reach(v), written) for v, written in self._views(call)]
        for view, _ in self._views(call):
            self._last[self._pages(view)] = self._now
        self._now += sum(m.size for m in found)
        return found

    def _views(self, call: LoweredCall[Any]) -> Iterator[tuple[View, bool]]:
        """Operands, the weights where they are packed, and results."""
        for k, view in enumerate(call.operands):
            if k == 1 and call.packed is not None:
                view = View.dense(call.packed, self._layout.lowered.buffers[call.packed].type)
            yield view, False
        yield from ((view, True) for view in call.results)

    def _reach(self, view: View) -> int:
        """Bytes that were moved since a view was, itself with them."""
        return max(_distinct(view), self._now - int(self._last[self._pages(view)].mean()))

    def _pages(self, view: View) -> slice:
        hull = view.hull()
        start = self._starts[view.buffer] + hull.offset
        return slice(start // PAGE, max(start + hull.type.nbytes - 1, start) // PAGE + 1)


def _distinct(view: View) -> int:
    """Bytes of a view, those that are repeated along an axis once."""
    return view.item * math.prod(n for n, stride in zip(view.shape, view.strides, strict=True) if stride)
