"""`reduce` on the CPU: sums and extremes of an expression over any axes.

Kept axes are the outer loops; where the innermost axis is kept, blocks of rows are added to the result for a few
vectors of columns at a time, else each row is reduced to a vector and then to a number.  Long reductions are cut
into a fixed number of chunks, whatever the number of threads, whose results a second step combines: the same bits
for any team.  Totals of blocks are added up rather than single numbers, so sums of millions are as accurate as
NumPy's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir

from netdsl.backend.arguments import Block
from netdsl.backend.axes import Axis, axes_of, elements
from netdsl.backend.step import SCRATCH, Slot
from netdsl.backend.tape import Tape, tape
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import nest_arguments, share
from netdsl.cpu.codegen.scalar_math import ElementaryFunctions
from netdsl.cpu.kernels.map import Streams, load_elements, ramp, splat_element, store_elements
from netdsl.cpu.step import Generated, Step
from netdsl.ir import TensorType
from netdsl.ir.types import ITEM_SIZE
from netdsl.native.emit import Emitter, Value
from netdsl.native.scalar import ELEMENT, Printer
from netdsl.primitives import Reduce
from netdsl.scalar import Arg
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

Span = tuple[Value, Value]  # first and one past the last index
WORTH = 131_072  # elements below which a reduction is not cut
UNITS = 32  # about how many pieces a reduction is cut into
COLUMNS = 1024  # fewest columns of a piece
UNROLL = 4
BLOCK = 16  # vectors, or rows of columns, that are summed before they join the total


class ReduceBlock(Block):
    """Before the nest: chunks of rows, the bytes from one partial result to the next, blocks of columns."""

    chunks: int
    partial: int
    blocks: int


def plan_reduce(op: Reduce, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """One step, or two for long reductions.  Raises LookupError for reductions of bool."""
    (result,) = results
    if result.type.dtype == "bool":
        raise LookupError(f"there is no kernel for a {op.kind} of bool: cast to int or float")
    space = op.shape or np.broadcast_shapes(*(v.shape for v in operands))
    program = tape([op.expr], [v.type.dtype for v in operands], [result.type.dtype])
    t = TensorType(tuple(1 if k in op.axes else n for k, n in enumerate(space)), result.type.dtype)
    out = View.dense(result.buffer, t, result.offset)
    first = _Nest(op.kind, program, space, op.axes, operands, out)
    chunks, blocks = first.cut(t.size)
    if chunks == 1:
        return [first.step(1, blocks, 0)]
    identity = tape([Arg(0)], [t.dtype], [t.dtype])
    flat = TensorType((1, t.size), t.dtype)
    parts = View.dense(SCRATCH, TensorType((chunks, t.size), t.dtype))
    last = View.dense(result.buffer, flat, result.offset)
    second = _Nest(op.kind, identity, parts.shape, (0,), [parts], last)
    into = _Nest(op.kind, program, space, op.axes, operands, View.dense(SCRATCH, t))
    return [into.step(chunks, blocks, t.nbytes), second.step(1, 1, 0)]


class _Nest:
    """The loops of one reduction: kept axes, reduced axes, and the innermost axis, which may be either."""

    def __init__(
        self,
        kind: str,
        program: Tape,
        space: Sequence[int],
        axes: Sequence[int],
        reads: Sequence[View],
        out: View,
    ) -> None:
        self.kind, self.program, self.space, self.axes, self.out = kind, program, space, axes, out
        self.used = {old: new for new, old in enumerate(program.args())}
        self.reads = [reads[k] for k in self.used]
        every = [*(v.over(space) for v in (*self.reads, out)), *program.counter_strides(space)]
        self.streams = len(every)
        self.loops = _ordered(axes_of(space, every, axes), self.streams)

    def cut(self, size: int) -> tuple[int, int]:
        """Chunks of the outermost reduced axis and blocks of columns: functions of the shape alone."""
        total = elements(self.space)
        if total < WORTH:
            return 1, 1
        wanted = -(-UNITS // self.loops[0].size)
        columns = 1 if self.loops[-1].reduced else self.loops[-1].size
        blocks = max(1, min(wanted, columns // COLUMNS))
        outer = next(a.size for a in self.loops if a.reduced)
        # The partial results are written and read again: an eighth of the work at most.
        chunks = min(-(-wanted // blocks), outer, total // (8 * max(1, size)))
        return max(1, chunks), blocks

    def step(self, chunks: int, blocks: int, partial: int) -> Step:
        """The step that writes the result, or `chunks` partial results `partial` bytes apart."""
        nest, out = self.loops, self.out
        layout = "".join("r" if a.reduced else "k" for a in nest)
        kinds = "".join("v" if s else "s" for s in nest[-1].strides[: len(self.reads)])
        dtypes = tuple(v.type.dtype for v in (*self.reads, out))
        key = f"{self.kind}-{self.program.key}-{layout}-{kinds}-{','.join(dtypes)}"
        emit = functools.partial(_Emit, self.kind, self.program, self.used, layout, kinds, dtypes)
        slots = [*map(Slot, self.reads), Slot(out, written=True)]
        block = nest_arguments(ReduceBlock, nest, slots)
        block.fill(chunks=chunks, partial=partial, blocks=blocks)
        scratch = chunks * partial
        shape, over = "x".join(map(str, self.space)) or "scalar", ",".join(map(str, self.axes))
        title = f"{self.kind} {shape} over {over}"
        kernel = Kernel(lambda e: emit(e).run())
        units = chunks * nest[0].size * blocks
        return Step(title, Generated("reduce", key, kernel), block, scratch, units)


def _ordered(axes: Sequence[Axis], streams: int) -> list[Axis]:
    """Kept axes first, but for an innermost kept one, which stays last; at least one kept and one reduced."""
    none = (0,) * streams
    last = [axes[-1]] if not axes[-1].reduced else []
    kept = [a for a in axes if not a.reduced and a not in last] or [Axis(1, False, none)]
    reduced = [a for a in axes if a.reduced] or [Axis(1, True, none)]
    # The innermost axis must be contiguous or repeated for every operand, which a step of 1 element always is.
    return [*kept, *reduced, *last]


class _Emit:
    """Emits one reduction: `layout` has a letter per loop, k for kept and r for reduced, outermost first."""

    def __init__(
        self,
        kind: str,
        program: Tape,
        used: dict[int, int],
        layout: str,
        kinds: str,
        dtypes: Sequence[Dtype],
        e: Emitter,
    ) -> None:
        self.kind, self.program, self.used, self.layout, self.kinds = kind, program, used, layout, kinds
        self.dtypes, self.e, self.result = dtypes, e, dtypes[-1]
        self.counters = program.counters()
        self.out = len(dtypes) - 1
        self.streams = Streams(e, ReduceBlock, len(layout), len(dtypes), len(self.counters))
        self.columns = layout[-1] == "k"
        self.outer = layout.index("r")
        self.inner = len(layout) - 1

    def run(self) -> None:
        """Units are chunks of rows, times the outermost kept axis, times blocks of columns."""
        e, sizes = self.e, self.streams.sizes
        block = self.streams.block
        chunks, partial, blocks = block.chunks, block.partial, block.blocks
        first, last = share(e, e.mul(e.mul(chunks, sizes[0]), blocks))
        with e.loop(first, last) as loop:
            rest, strip = self._divide(loop.index, blocks)
            chunk, row = self._divide(rest, sizes[0])
            at = self._moved(self.streams.starts, 0, row)
            at[self.out] = e.add(at[self.out], e.mul(chunk, partial))
            span = self._share(self.streams.sizes[self.outer], chunk, chunks)
            self._kept(1, at, span, self._strips(strip, blocks))

    def _divide(self, a: Value, b: Value) -> tuple[Value, Value]:
        quotient = self.e.b.sdiv(a, b)
        return quotient, self.e.sub(a, self.e.mul(quotient, b))

    def _share(self, length: Value, part: Value, parts: Value) -> Span:
        e = self.e
        return (e.b.sdiv(e.mul(length, part), parts), e.b.sdiv(e.mul(length, e.add(part, 1)), parts))

    def _strips(self, block: Value, blocks: Value) -> Span:
        """The columns of a block: whole strips but for the end."""
        e, size, strip = self.e, self.streams.sizes[self.inner], UNROLL * self.e.lanes
        first, last = self._share(e.b.sdiv(e.add(size, strip - 1), e.i64(strip)), block, blocks)
        return e.mul(first, strip), e.min_int(e.mul(last, strip), size)

    def _moved(self, at: Sequence[Value], loop: int, index: Value) -> list[Value]:
        return [
            self.e.add(a, self.e.mul(index, s[loop])) for a, s in zip(at, self.streams.strides, strict=True)
        ]

    def _kept(self, k: int, at: list[Value], rows: Span, columns: Span) -> None:
        e = self.e
        if k < self.outer:
            with e.loop(0, self.streams.sizes[k]) as loop:
                self._kept(k + 1, self._moved(at, k, loop.index), rows, columns)
        elif self.columns:
            self._sweep(columns, functools.partial(self._clear, at))
            self._blocks(self.outer, at, rows, columns)
        else:
            self._row(at, rows)

    # --- the innermost axis is kept --------------------------------------------------------------

    def _blocks(self, k: int, at: list[Value], rows: Span, columns: Span) -> None:
        """The reduced loops; the last one in blocks of rows, each added to the result for all columns."""
        e = self.e
        if k < self.inner - 1:
            with e.loop(*rows) as loop:
                inside = (e.i64(0), self.streams.sizes[k + 1])
                self._blocks(k + 1, self._moved(at, k, loop.index), inside, columns)
            return
        with e.loop(*rows, BLOCK) as loop:
            block = (loop.index, e.min_int(e.add(loop.index, BLOCK), rows[1]))
            self._sweep(columns, lambda place, count, n: self._strip(k, at, block, place, count, n))

    def _sweep(self, columns: Span, body: Callable[[Value, Value | None, int], None]) -> None:
        """`body(first column, count, vectors)` for strips of vectors, single ones, and the tail."""
        e, (first, last) = self.e, columns
        for vectors in (UNROLL, 1):
            step = vectors * e.lanes
            stop = e.add(first, e.mul(e.b.sdiv(e.sub(last, first), e.i64(step)), step))
            with e.loop(first, stop, step) as loop:
                body(loop.index, None, vectors)
            first = stop
        with e.when(e.less(first, last)):
            body(first, e.sub(last, first), 1)

    def _put(self, at: list[Value], place: Value, value: Value, count: Value | None) -> None:
        address = self.e.add(at[self.out], self.e.mul(place, ITEM_SIZE[self.result]))
        store_elements(self.e, self.result, value, address, count)

    def _clear(self, at: list[Value], column: Value, count: Value | None, vectors: int) -> None:
        for v in range(vectors):
            self._put(at, self.e.add(column, v * self.e.lanes), self._identity(), count)

    def _strip(
        self, k: int, at: list[Value], rows: Span, column: Value, count: Value | None, vectors: int
    ) -> None:
        e = self.e
        places = [e.add(column, v * e.lanes) for v in range(vectors)]
        with e.loop(*rows, 1, [self._identity()] * vectors) as loop:
            now = self._moved(at, k, loop.index)
            values = [self._values(now, place, count) for place in places]
            loop.next(*(self._combine(t, v) for t, v in zip(loop.carried, values, strict=True)))
        for place, value in zip(places, loop.results, strict=True):
            address = e.add(at[self.out], e.mul(place, ITEM_SIZE[self.result]))
            before = load_elements(e, self.result, address, count)
            self._put(at, place, self._combine(before, value), count)

    # --- the innermost axis is reduced -----------------------------------------------------------

    def _row(self, at: list[Value], rows: Span) -> None:
        """One number: vectors along the innermost axis, then across the lanes."""
        total = self._lines(self.outer, at, [self._identity()] * UNROLL, rows)
        value = functools.reduce(self._combine, total)
        self.e.store(self.e.reduce(value, self._combine), at[self.out])

    def _lines(self, k: int, at: list[Value], total: list[Value], rows: Span) -> list[Value]:
        """The reduced loops; totals of blocks are added up, so that long sums lose little."""
        e = self.e
        if k == self.inner:
            return self._line(at, total, rows)
        inside = (e.i64(0), self.streams.sizes[k + 1])
        with e.loop(*rows, BLOCK, total) as blocks:
            stop = e.min_int(e.add(blocks.index, BLOCK), rows[1])
            with e.loop(blocks.index, stop, 1, [self._identity()] * UNROLL) as loop:
                now = self._moved(at, k, loop.index)
                loop.next(*self._lines(k + 1, now, loop.carried, inside))
            blocks.next(*map(self._combine, blocks.carried, loop.results))
        return blocks.results

    def _line(self, at: list[Value], total: list[Value], span: Span) -> list[Value]:
        e, lanes = self.e, self.e.lanes
        step = UNROLL * lanes
        (first, last), length = span, e.sub(span[1], span[0])
        wide = e.add(first, e.mul(e.b.sdiv(length, e.i64(step)), step))
        with e.loop(first, wide, 4 * BLOCK * step, total) as blocks:
            stop = e.min_int(e.add(blocks.index, 4 * BLOCK * step), wide)
            with e.loop(blocks.index, stop, step, [self._identity()] * UNROLL) as loop:
                values = [self._values(at, e.add(loop.index, v * lanes), None) for v in range(UNROLL)]
                loop.next(*map(self._combine, loop.carried, values))
            blocks.next(*map(self._combine, blocks.carried, loop.results))
        total = blocks.results
        whole = e.add(first, e.mul(e.b.sdiv(length, e.i64(lanes)), lanes))
        with e.loop(wide, whole, lanes, total[:1]) as loop:
            loop.next(self._combine(loop.carried[0], self._values(at, loop.index, None)))
        rest = e.sub(last, whole)

        def tail() -> list[Value]:
            value = self._values(at, whole, rest)
            kept = e.b.select(e.first(rest, value.type), value, self._identity())
            return [self._combine(loop.results[0], kept)]

        (head,) = e.choose(e.less(0, rest), tail, lambda: [loop.results[0]])
        return [head, *total[1:]]

    # --- elements --------------------------------------------------------------------------------

    def _identity(self) -> Value:
        """What changes nothing, in every lane."""
        kind = ir.VectorType(ELEMENT[self.result], self.e.lanes)
        bound: float = np.inf if self.result == "f32" else np.iinfo(np.int64).max
        low: float = -np.inf if self.result == "f32" else np.iinfo(np.int64).min
        return self.e.constant(kind, {"sum": 0, "max": low, "min": bound}[self.kind])

    def _combine(self, a: Value, b: Value) -> Value:
        op = {"sum": "add"}.get(self.kind, self.kind)
        return Printer(ElementaryFunctions(self.e), self.e.lanes, _no_leaf).combine(op, a, b, self.result)

    def _values(self, at: list[Value], index: Value, count: Value | None) -> Value:
        """The expression for a vector of elements along the innermost axis."""
        e = self.e
        strides = [s[self.inner] for s in self.streams.strides]

        def leaf(kind: str, number: int) -> Value:
            if kind == "arg":
                k = self.used[number]
                dtype = self.dtypes[k]
                if self.kinds[k] == "s":
                    return splat_element(e, dtype, at[k])
                return load_elements(e, dtype, e.add(at[k], e.mul(index, ITEM_SIZE[dtype])), count)
            stream = len(self.dtypes) + self.counters.index((kind, number))
            start = e.add(at[stream], e.mul(index, strides[stream]))
            return ramp(e, start, strides[stream], wide=kind == "index")

        (value,) = Printer(ElementaryFunctions(e), e.lanes, leaf).print(self.program)
        return value


def _no_leaf(kind: str, number: int) -> Value:
    raise LookupError(f"{kind} {number} outside of an expression")
