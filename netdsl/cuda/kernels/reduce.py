"""`reduce` on the GPU: sums and extremes of an expression over any axes.

The threads of a block are laid along rows or along columns, whichever lie next to each other in memory, several of
them for each result.  A reduction with too few results to fill a GPU is cut into parts along the reduced axes, whose
results a second launch combines.  All of that follows from the sizes alone: every GPU gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from netdsl.backend.axes import Axis, axes_of
from netdsl.backend.step import SCRATCH, Slot, TooLarge
from netdsl.backend.tape import Tape, tape
from netdsl.cuda.codegen.nest import MOST, divisor_values, nest_values
from netdsl.cuda.codegen.wide import Lane, in_vectors, lanes_of
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.kernels.reduce_source import THREADS, Tile, reduce_source
from netdsl.cuda.step import Launch
from netdsl.ir import TensorType
from netdsl.primitives import Reduce
from netdsl.scalar import Arg
from netdsl.schedule import View

#: blocks that fill a large GPU: eight for each of 128 multiprocessors
FILL = 1024
#: blocks below which multiprocessors have none
FEW = 128
#: parts below which a second launch costs more than it gains
FEWEST = 4
#: work of an expression, in additions, times the elements that a thread computes at once
WORK = 256
#: numbers that a thread loads at once
LOADS = 32


def plan_reduce(op: Reduce, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """A launch, or two for long reductions with few results; any strides.

    LookupError for sums of bool, TooLarge for more than 2^31 results or elements of one.
    """
    (result,) = results
    if op.kind == "sum" and result.type.dtype == "bool":
        raise LookupError("there is no kernel for a sum of bool: cast to int or float")
    if not result.type.size:
        return []
    space = op.shape or np.broadcast_shapes(*(v.shape for v in operands))
    program = tape([op.expr], [v.type.dtype for v in operands], [result.type.dtype])
    reads = [operands[k] for k in program.args()]
    nest = _Nest(op.kind, program, tuple(space), op.axes, reads, _over(result, op, space))
    parts = nest.parts
    if parts == 1:
        return [nest.launch(nest.out, 1)]
    size = result.type.size
    partial = View.dense(SCRATCH, TensorType((parts, size), result.type.dtype))
    first = nest.launch(View.dense(SCRATCH, nest.out.type), parts, partial.type.nbytes)
    identity = tape([Arg(0)], [result.type.dtype], [result.type.dtype])
    shape = (parts, *nest.out.shape)
    rows = View.dense(SCRATCH, TensorType(shape, result.type.dtype))
    last = replace(nest.out, type=TensorType((1, *nest.out.shape), result.type.dtype))
    last = replace(last, strides=(0, *nest.out.strides))
    return [first, _Nest(op.kind, identity, shape, (0,), [rows], last).launch(last, 1)]


def _over(result: View, op: Reduce, space: Sequence[int]) -> View:
    """The result with size 1 along the reduced axes."""
    shape = tuple(1 if k in op.axes else n for k, n in enumerate(space))
    strides = iter(result.strides)
    steps = tuple(0 if k in op.axes and not op.keepdims else next(strides) for k in range(len(space)))
    return View(result.buffer, TensorType(shape, result.type.dtype), steps, result.offset)


@dataclass(frozen=True)
class _Nest:
    """One reduction of operands that are read to a result, over a space."""

    kind: str
    program: Tape
    space: tuple[int, ...]
    axes: tuple[int, ...]
    reads: Sequence[View]
    out: View

    def merged(self, out: View) -> list[Axis]:
        """The axes of the space with the strides of operands, result and counters."""
        counters = self.program.counter_strides(self.space)
        return axes_of(self.space, [*(v.over(self.space) for v in (*self.reads, out)), *counters], self.axes)

    @cached_property
    def columns(self) -> bool:
        """Whether neighbours in memory belong to neighbouring results."""
        return not self.merged(self.out)[-1].reduced

    @cached_property
    def lanes(self) -> tuple[Lane, ...]:
        """How the streams move along a vector of the innermost axis; empty where that is no gain."""
        return () if LANES * self.program.work() > WORK else lanes_of(self.reads, self.merged(self.out))

    @cached_property
    def results(self) -> int:
        """Results, or vectors of them."""
        return self.out.type.size // (LANES if self.columns and self.lanes else 1)

    @cached_property
    def length(self) -> int:
        """Reduced elements of a result, or vectors of them."""
        length = math.prod(self.space[k] for k in self.axes)
        return length // (LANES if not self.columns and self.lanes else 1)

    @cached_property
    def tile(self) -> Tile:
        """How threads are laid over the space."""
        team = (_column_team if self.columns else _row_team)(self.results, self.length)
        width, most = (LANES, 2) if self.lanes else (1, 4)
        room = min(WORK // max(1, self.program.work()), LOADS // max(1, len(self.reads))) // width
        unroll = next(u for u in (4, 2, 1) if u <= max(1, min(most, room)))
        return Tile(self.columns, team, unroll, self.lanes)

    @property
    def groups(self) -> int:
        """Blocks that all results take."""
        return -(-self.results // self.tile.results)

    @cached_property
    def parts(self) -> int:
        """Parts of the reduced elements, where the results alone do not fill a GPU: at least two steps each."""
        steps = -(-self.length // self.tile.step)
        parts = min(-(-FILL // self.groups), steps // 2)
        if parts < FEWEST:
            return 1
        return -(-steps // -(-steps // parts))

    def launch(self, out: View, parts: int, scratch: int = 0) -> Launch:
        """The launch that writes the result, or partial results one after the other."""
        if self.results > MOST or self.length > MOST:
            raise TooLarge(
                f"{self.title}: a kernel takes {MOST:_} results, of {MOST:_} elements each, at most"
            )
        views, axes, tile = (*self.reads, out), self.merged(out), self.tile
        items = [v.item for v in views] + [1] * (len(axes[0].strides) - len(views))
        steps = -(-self.length // tile.step)
        values = {"chunk": -(-steps // parts) * tile.step, "partial": out.type.size}
        values |= divisor_values("groups", self.groups)
        if tile.lanes:
            values |= {
                f"lane{s}": b // i for s, (b, i) in enumerate(zip(axes[-1].strides, items, strict=True))
            }
            axes[-1] = in_vectors(axes[-1])
        none = (0,) * len(items)
        kept = [a for a in axes if not a.reduced] or [Axis(1, False, none)]
        reduced = [replace(a, size=max(1, a.size)) for a in axes if a.reduced] or [Axis(1, True, none)]
        values |= nest_values(kept, items, "k") | nest_values(reduced, items, "r") | {"rcount": self.length}
        dtypes = [v.type.dtype for v in views]
        source = reduce_source(self.kind, self.program, dtypes, len(kept), len(reduced), tile)
        slots = {f"p{k}": Slot(v, k == len(self.reads)) for k, v in enumerate(views)}
        return Launch(self.title, source, self.groups * parts, THREADS, values, slots, scratch)

    @property
    def title(self) -> str:
        """As the CPU calls it."""
        return (
            f"{self.kind} {'x'.join(map(str, self.space)) or 'scalar'} over {','.join(map(str, self.axes))}"
        )


def _row_team(results: int, length: int) -> int:
    """Threads of a row: as many as read it together, and more where there are few rows, if it feeds them."""
    if length > 4096:
        return THREADS
    team = 1 if length <= 4 else 8 if length <= 32 else 32
    for larger in (8, 32, THREADS):
        if larger > team and results * team < FEW * THREADS and larger <= 2 * length:
            team = larger
    return team


def _column_team(results: int, length: int) -> int:
    """Threads of a column: one where columns are short or fill a GPU; neighbours have other columns."""
    if length < 16 or results >= FILL * THREADS:
        return 1
    return 8 if length < 128 or results * 8 >= FEW * THREADS else 32
