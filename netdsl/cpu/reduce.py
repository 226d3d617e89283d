"""`reduce` on the CPU: sums and extremes of an expression over any axes.

Kept axes are the outer loops; where the innermost axis is kept, a few vectors of columns are reduced together over
all rows, else each row is reduced to a vector and then to a number.  Long reductions are cut into a fixed number of
chunks, whatever the number of threads, whose results a second step combines: the same bits for any team, and sums of
millions of numbers as accurate as NumPy's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir

from netdsl.cpu.emit import Emitter, Value
from netdsl.cpu.library import Kernel
from netdsl.cpu.map import Operand, Streams, load_elements, ramp
from netdsl.cpu.nest import ITEM, Axis, Pending, axes_of, broadcast_strides, dense_strides, elements, share
from netdsl.cpu.scalar_emit import ELEMENT, Printer, Tape, tape
from netdsl.cpu.step import Slot, Step
from netdsl.ir import TensorType
from netdsl.primitives import Reduce
from netdsl.scalar import Arg

CHUNKED = 32_768  # elements per result above which a reduction is cut
UNROLL = 4


def plan_reduce(op: Reduce, operands: Sequence[TensorType], results: Sequence[TensorType]) -> list[Pending]:
    """One step, or two for long reductions.  Raises LookupError for sums of other types than f32."""
    (result,) = results
    if result.dtype != "f32":
        raise LookupError(f"there is no kernel for a reduction of {result.dtype}")
    space = op.shape or np.broadcast_shapes(*(t.shape for t in operands))
    reads = [Operand("operand", k, t.dtype, broadcast_strides(t, space)) for k, t in enumerate(operands)]
    program = tape([op.expr], [t.dtype for t in operands], ["f32"])
    return _plan(op.kind, program, space, op.axes, reads, result.size)


def _plan(
    kind: str, program: Tape, space: Sequence[int], axes: Sequence[int], reads: Sequence[Operand], size: int
) -> list[Pending]:
    target = dense_strides([1 if k in axes else n for k, n in enumerate(space)], ITEM["f32"])
    target = tuple(0 if k in axes else s for k, s in enumerate(target))
    chunks = _chunks(space, axes)
    if chunks == 1:
        return [_step(kind, program, space, axes, reads, Slot("result"), target, 1, 0)]
    partial = 4 * size
    first = _step(kind, program, space, axes, reads, Slot("scratch"), target, chunks, partial)
    identity = tape([Arg(0)], ["f32"], ["f32"])
    again = Operand("scratch", 0, "f32", (partial, 4))
    second = _step(kind, identity, (chunks, size), (0,), [again], Slot("result"), (0, 4), 1, 0)
    return [first, second]


def _chunks(space: Sequence[int], axes: Sequence[int]) -> int:
    """Into how many parts the outermost reduced axis is cut: a function of the shape alone."""
    per_result = elements([space[a] for a in axes])
    kept = elements(space) // max(1, per_result)
    if per_result < CHUNKED or kept * 8 >= per_result:
        return 1
    longest = axes_of(space, [], axes)
    outer = next((a.size for a in longest if a.reduced), 1)
    return min(outer, 16 if per_result < 2**20 else 64)


def _step(
    kind: str,
    program: Tape,
    space: Sequence[int],
    axes: Sequence[int],
    reads: Sequence[Operand],
    out: Slot,
    target: Sequence[int],
    chunks: int,
    partial: int,
) -> Pending:
    used = {old: new for new, old in enumerate(program.args())}
    reads = [reads[k] for k in used]
    counters = [tuple(int(k == axis) for k in range(len(space))) for axis in program.axes()]
    if program.random():
        counters.append(dense_strides(space, 1))
    merged = axes_of(space, [*(o.strides for o in reads), tuple(target), *counters], axes)
    streams = len(reads) + 1 + len(counters)
    nest = _ordered(merged, streams)
    layout = "".join("r" if a.reduced else "k" for a in nest)
    kinds = "".join("v" if s else "s" for s in nest[-1].strides[: len(reads)])
    dtypes = tuple(o.dtype for o in reads)
    key = f"{kind}-{program.key()}-{layout}-{kinds}-{','.join(dtypes)}"
    emit = functools.partial(_Emit, kind, program, used, layout, kinds, dtypes)
    words = [chunks, partial, *(a.size for a in nest)]
    for k in range(streams):
        words += [0, *(a.strides[k] for a in nest)]
    block = np.array(words, np.int64)
    first, each = 2 + len(nest), 1 + len(nest)
    slots = {first + k * each: Slot(o.place, o.index, o.offset) for k, o in enumerate(reads)}
    slots[first + len(reads) * each] = out
    scratch = chunks * partial if out.place == "scratch" else 0
    title = f"{kind} {'x'.join(map(str, space)) or 'scalar'} over {','.join(map(str, axes))}"
    return Pending(
        key, Kernel(lambda e: emit(e).run()), lambda entry: Step(title, entry, block, slots, scratch)
    )


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
        dtypes: Sequence[str],
        e: Emitter,
    ) -> None:
        self.kind, self.program, self.used, self.layout, self.kinds = kind, program, used, layout, kinds
        self.dtypes, self.e = dtypes, e
        self.counters = [("index", a) for a in program.axes()] + ([("flat", 0)] if program.random() else [])
        self.out = len(dtypes)
        self.streams = Streams(e, len(layout), self.out + 1 + len(self.counters), first=2)
        self.columns = layout[-1] == "k"
        self.outer = layout.index("r")
        self.inner = len(layout) - 1

    def run(self) -> None:
        """Units are chunks times the outermost kept axis."""
        e, sizes = self.e, self.streams.sizes
        chunks, partial = e.field(e.args[0], 0), e.field(e.args[0], 1)
        first, last = share(e, e.mul(chunks, sizes[0]))
        with e.loop(first, last) as loop:
            chunk = e.b.sdiv(loop.index, sizes[0])
            row = e.sub(loop.index, e.mul(chunk, sizes[0]))
            at = self._moved(self.streams.starts, 0, row)
            at[self.out] = e.add(at[self.out], e.mul(chunk, partial))
            length = sizes[self.outer]
            begin, end = (e.b.sdiv(e.mul(length, c), chunks) for c in (chunk, e.add(chunk, 1)))
            self._kept(1, at, begin, end)

    def _moved(self, at: Sequence[Value], loop: int, index: Value) -> list[Value]:
        return [
            self.e.add(a, self.e.mul(index, s[loop])) for a, s in zip(at, self.streams.strides, strict=True)
        ]

    def _kept(self, k: int, at: list[Value], begin: Value, end: Value) -> None:
        e = self.e
        if k < self.outer:
            with e.loop(0, self.streams.sizes[k]) as loop:
                self._kept(k + 1, self._moved(at, k, loop.index), begin, end)
        elif self.columns:
            self._columns(at, begin, end)
        else:
            self._row(at, begin, end)

    def _columns(self, at: list[Value], begin: Value, end: Value) -> None:
        """Vectors of columns, several at a time, each over all rows."""
        e = self.e
        size, block = self.streams.sizes[self.inner], UNROLL * e.lanes
        wide = e.mul(e.b.sdiv(size, e.i64(block)), block)
        whole = e.mul(e.b.sdiv(size, e.i64(e.lanes)), e.lanes)
        for start, stop, vectors, step in ((e.i64(0), wide, UNROLL, block), (wide, whole, 1, e.lanes)):
            with e.loop(start, stop, step) as loop:
                self._strip(at, loop.index, vectors, None, begin, end)
        with e.when(e.less(whole, size)):
            self._strip(at, whole, 1, e.sub(size, whole), begin, end)

    def _strip(
        self, at: list[Value], column: Value, vectors: int, count: Value | None, begin: Value, end: Value
    ) -> None:
        e = self.e
        places = [e.add(column, v * e.lanes) for v in range(vectors)]
        start = [self._identity()] * vectors

        def body(now: list[Value], total: list[Value]) -> list[Value]:
            values = [self._values(now, place, count) for place in places]
            return [self._combine(t, v) for t, v in zip(total, values, strict=True)]

        total = self._rows(self.outer, self.inner, at, start, begin, end, body)
        for place, value in zip(places, total, strict=True):
            address = e.add(at[self.out], e.mul(place, 4))
            if count is None:
                e.store(value, address)
            else:
                e.store_part(value, address, count)

    def _row(self, at: list[Value], begin: Value, end: Value) -> None:
        """One number: vectors along the innermost axis, then across the lanes."""

        def body(now: list[Value], total: list[Value]) -> list[Value]:
            inside = self.outer == self.inner
            return self._line(now, total, begin if inside else None, end if inside else None)

        e = self.e
        start = [self._identity()] * UNROLL
        if self.outer == self.inner:
            total = self._line(at, start, begin, end)
        else:
            total = self._rows(self.outer, self.inner, at, start, begin, end, body)
        value = functools.reduce(self._combine, total)
        e.store(e.reduce(value, self._combine), at[self.out])

    def _rows(
        self,
        k: int,
        stop: int,
        at: list[Value],
        total: list[Value],
        begin: Value,
        end: Value,
        body: Callable[[list[Value], list[Value]], list[Value]],
    ) -> list[Value]:
        """The reduced loops outside of the innermost one."""
        if k == stop:
            return body(at, total)
        e = self.e
        first, last = (begin, end) if k == self.outer else (e.i64(0), self.streams.sizes[k])
        with e.loop(first, last, 1, total) as loop:
            now = self._moved(at, k, loop.index)
            loop.next(*self._rows(k + 1, stop, now, loop.carried, begin, end, body))
        return loop.results

    def _line(
        self, at: list[Value], total: list[Value], begin: Value | None, end: Value | None
    ) -> list[Value]:
        e, lanes = self.e, self.e.lanes
        first = e.i64(0) if begin is None else begin
        last = self.streams.sizes[self.inner] if end is None else end
        length = e.sub(last, first)
        wide = e.add(first, e.mul(e.b.sdiv(length, e.i64(UNROLL * lanes)), UNROLL * lanes))
        with e.loop(first, wide, UNROLL * lanes, total) as loop:
            values = [self._values(at, e.add(loop.index, v * lanes), None) for v in range(UNROLL)]
            loop.next(*(self._combine(t, v) for t, v in zip(loop.carried, values, strict=True)))
        total = loop.results
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

    def _identity(self) -> Value:
        start = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}[self.kind]
        return self.e.constant(self.e.f32s, start)

    def _combine(self, a: Value, b: Value) -> Value:
        if self.kind == "sum":
            return self.e.b.fadd(a, b)
        math = Printer(self.e, self.e.lanes, _no_leaf).math
        return math.maximum(a, b) if self.kind == "max" else math.minimum(a, b)

    def _values(self, at: list[Value], index: Value, count: Value | None) -> Value:
        """The expression for a vector of elements along the innermost axis."""
        e = self.e
        strides = [s[self.inner] for s in self.streams.strides]

        def leaf(kind: str, number: int) -> Value:
            if kind == "arg":
                k = self.used[number]
                dtype = self.dtypes[k]
                if self.kinds[k] == "s":
                    return e.splat(e.load(ELEMENT[dtype], at[k]))
                return load_elements(e, dtype, e.add(at[k], e.mul(index, ITEM[dtype])), count)  # type: ignore[arg-type]
            stream = self.out + 1 + self.counters.index((kind, number))
            start = e.add(at[stream], e.mul(index, strides[stream]))
            return ramp(e, start, strides[stream], wide=kind == "index")

        (value,) = Printer(e, e.lanes, leaf).print(self.program)
        return value


def _no_leaf(kind: str, number: int) -> ir.Value:
    raise LookupError(f"{kind} {number} outside of an expression")
