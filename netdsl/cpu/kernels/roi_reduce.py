"""`roi_reduce` and `roi_reduce_grad` on the CPU, vectorised over the channels.

Most weights are 0: a cell looks at the map from the first to the last weight that is not, and skips those between.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir

from netdsl.backend.arguments import Address, Arguments, Block
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import share
from netdsl.cpu.kernels.map import load_elements, store_elements
from netdsl.cpu.kernels.reduce_window import larger
from netdsl.cpu.step import Generated, Step
from netdsl.native.emit import F32, I32, Emitter, Value
from netdsl.primitives import RoiReduce, RoiReduceGrad
from netdsl.schedule import View

CHUNK = 4  # vectors of channels that are held in registers
Span = tuple[Value, Value]
Body = Callable[[Value, int, Value | None], None]


class RoiBlock(Block):
    """`c` are the channels of a cell, of which the map has `blocks` times as many."""

    map: Address
    rows: Address
    columns: Address
    cells: Address
    x: Address = 0
    y: Address = 0
    n: int
    r: int
    p: int
    q: int
    h: int
    w: int
    c: int
    blocks: int


def plan_region(
    op: RoiReduce | RoiReduceGrad, operands: Sequence[View], results: Sequence[View]
) -> list[Step]:
    """One step."""
    forward = isinstance(op, RoiReduce)
    x, cells = (operands[0].shape, results[0].shape) if forward else (results[0].shape, operands[2].shape)
    blocks = cells[2] * cells[3] if op.split else 1
    n, r, p, q, c = cells
    block = Arguments(RoiBlock, n=n, r=r, p=p, q=q, h=x[1], w=x[2], c=c, blocks=blocks)
    names = ("map", "rows", "columns") if forward else ("rows", "columns", "cells", "x", "y")
    block.fill(**{name: Slot(view) for name, view in zip(names, operands, strict=False)})
    block.fill(**{"cells" if forward else "map": Slot(results[0], written=True)})
    emit = functools.partial(_Emit, op.kind, op.split)
    kernel = Kernel(lambda e: emit(e).forward() if forward else emit(e).backward())
    title = f"{op.name} {op.kind} {'x'.join(map(str, cells[1:]))} @ {x[1]}x{x[2]}"
    entry = Generated(op.name, f"{op.name}-{op.kind}-{int(op.split)}", kernel)
    return [Step(title, entry, block)]


class _Emit:
    def __init__(self, kind: str, split: bool, e: Emitter) -> None:
        self.kind, self.split, self.e = kind, split, e
        self.block = block = e.fields(e.args[0], RoiBlock)
        self.n, self.r, self.p, self.q = block.n, block.r, block.p, block.q
        self.h, self.w, self.c, self.blocks = block.h, block.w, block.c, block.blocks
        self.cell = e.mul(self.c, 4)
        self.pixel = e.mul(self.cell, self.blocks)

    def forward(self) -> None:
        """Units are rows of cells."""
        e = self.e
        first, last = share(e, e.mul(e.mul(self.n, self.r), self.p))
        with e.loop(first, last) as unit:
            region = e.b.sdiv(unit.index, self.p)
            row = e.sub(unit.index, e.mul(region, self.p))
            with self._cells(region, row) as (number, spans, at):
                source = e.add(self._image(self.block.map, e.b.sdiv(region, self.r)), at)
                target = e.add(self.block.cells, e.mul(number, self.cell))
                self._vectors(e.i64(0), self.c, functools.partial(self._combine, source, target, spans))

    @contextmanager
    def _cells(
        self, region: Value, row: Value
    ) -> Iterator[tuple[Value, Sequence[tuple[Value, Span]], Value]]:
        """For each cell in a row of a region: its number, the places and spans of its weights, its channels."""
        e = self.e
        line = e.add(e.mul(region, self.p), row)
        rows = self._weights(self.block.rows, line, self.h)
        with e.loop(0, self.q) as loop:
            columns = self._weights(self.block.columns, e.add(e.mul(region, self.q), loop.index), self.w)
            block = e.add(e.mul(row, self.q), loop.index) if self.split else e.i64(0)
            yield e.add(e.mul(line, self.q), loop.index), (rows, columns), e.mul(block, self.cell)

    def _weights(self, weights: Value, line: Value, size: Value) -> tuple[Value, Span]:
        """Where the weights of a line are, and the first and one past the last that is not 0."""
        e = self.e
        start = e.add(weights, e.mul(e.mul(line, size), 4))
        none = e.splat(e.b.trunc(size, I32)), ir.Constant(e.i32s, None)
        with e.loop(0, size, e.lanes, none) as loop:
            rest = e.sub(size, loop.index)
            seen = e.load_part(e.f32s, e.add(start, e.mul(loop.index, 4)), e.min_int(rest, e.lanes))
            hit = e.b.fcmp_unordered("!=", seen, e.constant(e.f32s, 0.0))
            here = e.b.add(e.splat(e.b.trunc(loop.index, I32)), e.iota())
            behind = e.b.add(here, e.constant(e.i32s, 1))
            low, high = loop.carried
            loop.next(
                e.b.select(e.b.and_(hit, e.b.icmp_signed("<", here, low)), here, low),
                e.b.select(hit, behind, high),
            )
        low = e.reduce(loop.results[0], lambda a, b: e.b.select(e.b.icmp_signed("<", a, b), a, b))
        high = e.reduce(loop.results[1], lambda a, b: e.b.select(e.b.icmp_signed(">", a, b), a, b))
        return start, (e.b.sext(low, e.i64(0).type), e.b.sext(high, e.i64(0).type))

    def _image(self, start: Value, n: Value) -> Value:
        e = self.e
        return e.add(start, e.mul(e.mul(e.mul(n, self.h), self.w), self.pixel))

    def _vectors(self, first: Value, last: Value, body: Body) -> None:
        """`body(byte offset, vectors, count)` over channels: chunks, single vectors, and a part of one."""
        e = self.e
        for vectors in (CHUNK, 1):
            step = vectors * e.lanes
            end = e.add(first, e.mul(e.b.sdiv(e.sub(last, first), e.i64(step)), step))
            with e.loop(first, end, step) as loop:
                body(e.mul(loop.index, 4), vectors, None)
            first = end
        with e.when(e.less(first, last)):
            body(e.mul(first, 4), 1, e.sub(last, first))

    def _load(self, address: Value, vectors: int, count: Value | None) -> list[Value]:
        e = self.e
        return [load_elements(e, "f32", e.add(address, k * e.bytes), count) for k in range(vectors)]

    def _store(self, values: Sequence[Value], address: Value, count: Value | None) -> None:
        for k, value in enumerate(values):
            store_elements(self.e, "f32", value, self.e.add(address, k * self.e.bytes), count)

    def _visit(
        self,
        spans: Sequence[tuple[Value, Span]],
        initial: Sequence[Value],
        body: Callable[[Value, Value, Sequence[Value]], Sequence[Value]],
    ) -> Sequence[Value]:
        """Carry values through `body(byte offset, weight, values)` for each pixel that has a weight."""
        e = self.e
        (rows, (y0, y1)), (columns, (x0, x1)) = spans

        def along(y: Value, wy: Value, values: Sequence[Value]) -> Sequence[Value]:
            def pixel(x: Value, wx: Value, held: Sequence[Value]) -> Sequence[Value]:
                return body(e.mul(e.add(e.mul(y, self.w), x), self.pixel), e.b.fmul(wy, wx), held)

            return self._where_weighted(columns, x0, x1, values, pixel)

        return self._where_weighted(rows, y0, y1, initial, along)

    def _where_weighted(
        self,
        weights: Value,
        first: Value,
        last: Value,
        initial: Sequence[Value],
        body: Callable[[Value, Value, Sequence[Value]], Sequence[Value]],
    ) -> Sequence[Value]:
        e = self.e
        with e.loop(first, last, 1, initial) as loop:
            weight = e.load(F32, e.add(weights, e.mul(loop.index, 4)))
            index, values = loop.index, list(loop.carried)
            some = e.b.fcmp_unordered("!=", weight, e.constant(F32, 0.0))
            if values:
                loop.next(*e.choose(some, lambda: body(index, weight, values), lambda: values))
            else:
                with e.when(some):
                    body(index, weight, values)
        return loop.results

    def _combine(
        self,
        source: Value,
        target: Value,
        spans: Sequence[tuple[Value, Span]],
        at: Value,
        vectors: int,
        count: Value | None,
    ) -> None:
        e = self.e
        start = e.constant(e.f32s, float("-inf") if self.kind == "max" else 0.0)

        def pixel(move: Value, weight: Value, totals: Sequence[Value]) -> Sequence[Value]:
            seen = self._load(e.add(e.add(source, at), move), vectors, count)
            if self.kind == "max":
                return [larger(e, t, v) for t, v in zip(totals, seen, strict=True)]
            factor = e.splat(weight)
            return [e.fma(factor, v, t) for t, v in zip(totals, seen, strict=True)]

        totals = self._visit(spans, [start] * vectors, pixel)
        if self.kind == "max":
            (_, (y0, y1)), (_, (x0, x1)) = spans
            some = e.b.and_(e.less(y0, y1), e.less(x0, x1))
            totals = [e.b.select(some, t, e.constant(e.f32s, 0.0)) for t in totals]
        self._store(totals, e.add(target, at), count)

    def backward(self) -> None:
        """Units are a few vectors of channels of an image: each adds its own sums, in the order of the regions."""
        e = self.e
        step = e.i64(CHUNK * e.lanes)
        chunks = e.b.sdiv(e.add(self.c, e.sub(step, 1)), step)
        begin, end = share(e, e.mul(self.n, chunks))
        with e.loop(begin, end) as unit:
            image = e.b.sdiv(unit.index, chunks)
            first = e.mul(e.sub(unit.index, e.mul(image, chunks)), step)
            last = e.min_int(e.add(first, step), self.c)
            self._vectors(first, last, functools.partial(self._zero, image))
            with e.loop(0, self.r) as region, e.loop(0, self.p) as row:
                here = e.add(e.mul(image, self.r), region.index)
                with self._cells(here, row.index) as (number, spans, at):
                    self._vectors(first, last, functools.partial(self._spread, image, number, spans, at))

    def _zero(self, image: Value, at: Value, vectors: int, count: Value | None) -> None:
        e = self.e
        target = e.add(self._image(self.block.map, image), at)
        with e.loop(0, e.mul(e.mul(self.h, self.w), self.blocks)) as loop:
            zeros = [e.constant(e.f32s, 0.0)] * vectors
            self._store(zeros, e.add(target, e.mul(loop.index, self.cell)), count)

    def _spread(
        self,
        image: Value,
        number: Value,
        spans: Sequence[tuple[Value, Span]],
        block: Value,
        at: Value,
        vectors: int,
        count: Value | None,
    ) -> None:
        """Add one cell's gradient to its pixels."""
        e = self.e
        offset, zero = e.add(e.mul(number, self.cell), at), e.constant(e.f32s, 0.0)
        g = self._load(e.add(self.block.cells, offset), vectors, count)
        inside = e.add(block, at)
        target = e.add(self._image(self.block.map, image), inside)

        def add(move: Value, parts: Sequence[Value]) -> None:
            old = self._load(e.add(target, move), vectors, count)
            self._store([e.b.fadd(o, p) for o, p in zip(old, parts, strict=True)], e.add(target, move), count)

        def summed(move: Value, weight: Value, held: Sequence[Value]) -> Sequence[Value]:
            factor = e.splat(weight)
            add(move, [e.b.fmul(factor, part) for part in g])
            return held

        if self.kind == "sum":
            self._visit(spans, (), summed)
            return
        best = self._load(e.add(self.block.y, offset), vectors, count)
        source = e.add(self._image(self.block.x, image), inside)

        def first_largest(move: Value, weight: Value, left: Sequence[Value]) -> Sequence[Value]:
            seen = self._load(e.add(source, move), vectors, count)
            hits = [e.b.fcmp_ordered("==", v, y) for v, y in zip(seen, best, strict=True)]
            add(move, [e.b.select(hit, part, zero) for hit, part in zip(hits, left, strict=True)])
            return [e.b.select(hit, zero, part) for hit, part in zip(hits, left, strict=True)]

        self._visit(spans, g, first_largest)
