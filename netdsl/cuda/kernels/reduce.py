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
from netdsl.backend.step import SCRATCH, Slot
from netdsl.backend.tape import Tape, tape
from netdsl.cuda.codegen.nest import MOST, divisor_values, nest_values
from netdsl.cuda.kernels.reduce_source import THREADS, Tile, reduce_source
from netdsl.cuda.step import Launch
from netdsl.ir import TensorType
from netdsl.primitives import Reduce
from netdsl.scalar import Arg
from netdsl.schedule import View, dense_strides

#: blocks that fill a large GPU: eight for each of 128 multiprocessors
FILL = 1024
#: parts below which a second launch costs more than it gains
FEWEST = 4
UNROLL = 4
#: work of an expression, in additions, from which a thread computes one element at once
HEAVY = 64


def plan_reduce(op: Reduce, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """A launch, or two for long reductions with few results; any strides.

    LookupError for sums of bool, and for more than 2^31 results or elements of one.
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
        counters = [tuple(int(k == axis) for k in range(len(self.space))) for axis in self.program.axes()]
        if self.program.random():
            counters.append(dense_strides(self.space, 1))
        return axes_of(self.space, [*(v.over(self.space) for v in (*self.reads, out)), *counters], self.axes)

    @cached_property
    def length(self) -> int:
        """Reduced elements of a result."""
        return math.prod(self.space[k] for k in self.axes)

    @cached_property
    def tile(self) -> Tile:
        """How threads are laid over the space."""
        unroll = 1 if self.program.work() >= HEAVY else UNROLL
        if self.merged(self.out)[-1].reduced:
            return Tile(False, _row_team(self.out.type.size, self.length), unroll)
        return Tile(True, _column_team(self.out.type.size, self.length), unroll)

    @property
    def groups(self) -> int:
        """Blocks that all results take."""
        return -(-self.out.type.size // self.tile.results)

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
        axes, tile, size = self.merged(out), self.tile, out.type.size
        if size > MOST or self.length > MOST:
            raise LookupError(
                f"{self.title}: a kernel takes {MOST:_} results, of {MOST:_} elements each, at most"
            )
        kept = [a for a in axes if not a.reduced] or [Axis(1, False, (0,) * len(axes[0].strides))]
        reduced = [a for a in axes if a.reduced] or [Axis(1, True, (0,) * len(axes[0].strides))]
        views = (*self.reads, out)
        items = [v.item for v in views] + [1] * (len(axes[0].strides) - len(views))
        steps = -(-self.length // tile.step)
        values = {"chunk": -(-steps // parts) * tile.step, "partial": size} | divisor_values(
            "groups", self.groups
        )
        values |= nest_values(kept, items, "k") | nest_values(_sized(reduced), items, "r")
        values["rcount"] = self.length
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


def _sized(axes: Sequence[Axis]) -> list[Axis]:
    """Axes that can be divided by; nothing is reduced where one of them has no element."""
    return [replace(a, size=max(1, a.size)) for a in axes]


def _row_team(results: int, length: int) -> int:
    """Threads of a row: one where it is short, a part of a warp, a warp, or a block where rows are long or few."""
    if length <= 8:
        return 1
    if length <= 64:
        return 8
    return 32 if length <= 512 or (length <= 4096 and results >= 8 * FILL) else THREADS


def _column_team(results: int, length: int) -> int:
    """Threads of a column, which have neighbours along the results: one where columns are short or many."""
    if length <= 16 or results >= THREADS * FILL:
        return 1
    return 8 if length < 256 or results > 32 * FILL // 16 else 32
