"""Winograd's minimal filtering F(m x m, 3x3): m x m pixels from (m+2)^2 products for each channel, not from 9 m^2.

A convolution is a product of polynomials. Their values at m+1 points (and infinity) are multiplied one by one, for
all channels as a GEMM for each of the (m+2)^2 `positions`, and the product is found again from its values (Lavin and
Gray 2015, arXiv 1509.09308). The points are 0 and pairs +-sqrt(s). For m = 4 errors are 4 times as large with the
usual 0, +-1, +-2 as with these, whose powers stay near 1: the largest one is then twice that of the plain sum.

A transform is one of all columns of a square and then of all rows; between the two, the square lies in memory that
stays in the first-level cache.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

from netdsl.cpu.codegen.channels import channel_blocks, load, store
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.contract.arguments import TILE_SQUARE_BYTES, WinogradCall
from netdsl.native.emit import Emitter, Value

#: the squares of the points beside 0, by the pixels m along an edge of a tile
SQUARES = {2: (1.0,), 4: (0.5, 2.0)}
LINE_BYTES = 64

Transform = Callable[[Emitter, Sequence[float], Sequence[Value]], list[Value]]


def kernels() -> dict[str, Kernel]:
    """The kernels that transform inputs, results and weights, for each size of tile."""
    kinds = {"input": (_input, 7), "result": (_result, 7), "weights": (_weights, 6)}
    return {
        f"winograd_{name}_{m}": Kernel(functools.partial(emit, m=m), arguments)
        for name, (emit, arguments) in kinds.items()
        for m in SQUARES
    }


def _product(squares: Sequence[float]) -> list[float]:
    """The coefficients of the product of all x - s, the lowest power first."""
    total = [1.0]
    for s in squares:
        shifted = [0.0, *total]
        total = [a - s * b for a, b in zip(shifted, [*total, 0.0], strict=True)]
    return total


def _sum(e: Emitter, coefficients: Sequence[float], values: Sequence[Value]) -> Value:
    """The sum of products, the last coefficient being 1."""
    *rest, total = values
    for c, v in zip(coefficients[:-1], rest, strict=True):
        total = e.fma(v, e.constant(v.type, c), total)
    return total


def input_values(e: Emitter, squares: Sequence[float], d: Sequence[Value]) -> list[Value]:
    """Of m+2 pixels: their sums with the coefficients of the polynomials that are 0 at all points but one."""
    whole = _product(squares)
    found = [_sum(e, whole, d[0:-1:2])]
    for s in squares:
        others = _product([t for t in squares if t != s])
        even, odd = _sum(e, others, d[2:-1:2]), _sum(e, others, d[1:-2:2])
        found += [e.fma(odd, e.constant(odd.type, a), even) for a in (math.sqrt(s), -math.sqrt(s))]
    return [*found, _sum(e, whole, d[1::2])]


def result_values(e: Emitter, squares: Sequence[float], v: Sequence[Value]) -> list[Value]:
    """Of m+2 products: the m pixels in a row."""
    pairs = list(zip(squares, v[1:-1:2], v[2:-1:2], strict=True))
    sides = [(math.sqrt(s), e.b.fadd(p, q), e.b.fsub(p, q)) for s, p, q in pairs]
    found = []
    for power in range(2 * len(squares)):
        terms = [(a**power, odd if power % 2 else even) for a, even, odd in sides]
        ends = [v[0]] if power == 0 else [v[-1]] if power == 2 * len(squares) - 1 else []
        total = ends[0] if ends else e.b.fmul(terms[0][1], e.constant(v[0].type, terms[0][0]))
        for a, term in terms if ends else terms[1:]:
            total = e.fma(term, e.constant(term.type, a), total)
        found.append(total)
    return found


def weight_values(e: Emitter, squares: Sequence[float], g: Sequence[Value]) -> list[Value]:
    """Of 3 weights in a row: their values at the points, divided by what `input_values` multiplied in."""

    def scaled(x: Value, factor: float) -> Value:
        return e.b.fmul(x, e.constant(x.type, factor))

    found = [scaled(g[0], math.prod(-1 / s for s in squares))]
    for s in squares:
        factor = 1 / (2 * s * math.prod(s - t for t in squares if t != s))
        even, odd = e.fma(g[2], e.constant(g[2].type, s), g[0]), scaled(g[1], math.sqrt(s))
        found += [scaled(e.b.fadd(even, odd), factor), scaled(e.b.fsub(even, odd), factor)]
    return [*found, g[2]]


class _Square:
    """A square of vectors in memory: columns are written and rows read, `vectors` neighbouring channels at a time."""

    def __init__(self, e: Emitter, at: Value, squares: Sequence[float], columns: int, vectors: int) -> None:
        self.e, self.at, self.squares, self.columns, self.vectors = e, at, squares, columns, vectors

    def fill(self, transform: Transform, read: Callable[[Value, int], Sequence[Value]]) -> None:
        """Transform all columns; `read(column, vector)` are the values of one."""
        e = self.e
        with e.loop(0, self.columns) as loop:
            for v in range(self.vectors):
                at = e.add(self.at, e.mul(e.add(e.mul(loop.index, self.vectors), v), e.bytes))
                for i, value in enumerate(transform(e, self.squares, read(loop.index, v))):
                    e.store(value, at, i * self.columns * self.vectors * e.bytes)

    def drain(
        self, transform: Transform, rows: int | Value, write: Callable[[Value, int, list[Value]], None]
    ) -> None:
        """Transform the first rows; `write(row, vector, values)` takes what comes out."""
        e = self.e
        with e.loop(0, rows) as loop:
            for v in range(self.vectors):
                at = e.add(self.at, e.mul(loop.index, self.columns * self.vectors * e.bytes))
                places = [(j * self.vectors + v) * e.bytes for j in range(self.columns)]
                write(
                    loop.index, v, transform(e, self.squares, [e.load(e.f32s, at, place) for place in places])
                )


def _input(e: Emitter, m: int) -> None:
    """(call, source, to, top, bottom, left, right): the positions of a tile, from the pixels around it.

    Of the (m+2)^2 pixels from `source` on, rows `top` to `bottom` and columns `left` to `right` are there; all others
    are zeros. `channels` of each are read, and whole vectors written, the positions `position` bytes apart.
    """
    channel_blocks(e, e.fields(e.args[0], WinogradCall).channels, _vectors(e), _Input(e, m).channel_block)


def _result(e: Emitter, m: int) -> None:
    """(call, source, to, residual, bias, rows, columns): the pixels of a tile, from the products of its positions.

    Of the m x m pixels from `to` on, `rows` x `columns` are there and written. `residual` and `bias` may be 0.
    """
    channel_blocks(e, e.fields(e.args[0], WinogradCall).channels, _vectors(e), _Result(e, m).channel_block)


def _vectors(e: Emitter) -> int:
    """Vectors that are taken at a time: those of a cache line, which might be gone before the next turn."""
    return max(1, LINE_BYTES // e.bytes)


class _Input:
    """Emits the kernel that makes the positions of a tile."""

    def __init__(self, e: Emitter, m: int) -> None:
        self.e, self.m, edge = e, m, m + 2
        block, self.source, self.to, self.top, self.bottom, self.left, self.right = e.args
        call = e.fields(block, WinogradCall)
        self.line, self.pixel = call.line, call.pixel
        self.position, self.zeros = call.position, call.square
        before = e.b.icmp_signed("==", e.b.or_(self.top, self.left), e.i64(0))
        behind = [e.b.icmp_signed("==", end, e.i64(edge)) for end in (self.bottom, self.right)]
        self.whole = e.b.and_(before, e.b.and_(*behind))
        self.there = [self._within(self.top, r, self.bottom) for r in range(edge)]
        for v in range(_vectors(e)):
            e.store(e.constant(e.f32s, 0), self.zeros, v * e.bytes)

    def channel_block(self, channel: Value, vectors: int, count: Value | None) -> None:
        """Neighbouring channels of all positions."""
        e, edge = self.e, self.m + 2
        square = _Square(e, e.add(self.zeros, LINE_BYTES), SQUARES[self.m], edge, vectors)
        at, to = e.add(self.source, channel), e.add(self.to, channel)

        def write(row: Value, v: int, values: list[Value]) -> None:
            place = e.add(e.add(to, v * e.bytes), e.mul(e.mul(row, edge), self.position))
            for j, value in enumerate(values):
                e.store(value, e.add(place, e.mul(self.position, j)))

        square.fill(input_values, lambda column, v: self._column(e.add(at, v * e.bytes), column, count))
        square.drain(input_values, edge, write)

    def _column(self, at: Value, column: Value, count: Value | None) -> list[Value]:
        e = self.e
        first = e.add(at, e.mul(column, self.pixel))
        rows = [e.add(first, e.mul(self.line, r)) for r in range(self.m + 2)]

        def clipped() -> list[Value]:
            inside = self._within(self.left, column, self.right)
            there = [e.b.and_(inside, row) for row in self.there]
            places = [e.b.select(t, row, self.zeros) for t, row in zip(there, rows, strict=True)]
            return [load(e, place, count) for place in places]

        return e.choose(self.whole, lambda: [load(e, row, count) for row in rows], clipped)

    def _within(self, first: Value, index: int | Value, end: Value) -> Value:
        return self.e.b.and_(self.e.less(self.e.sub(first, 1), index), self.e.less(index, end))


class _Result:
    """Emits the kernel that makes the pixels of a tile."""

    def __init__(self, e: Emitter, m: int) -> None:
        self.e, self.m = e, m
        block, self.source, self.to, self.residual, self.bias, self.rows, self.columns = e.args
        call = e.fields(block, WinogradCall)
        self.channels, self.line, self.pixel = call.channels, call.line, call.pixel
        self.position, self.square = call.position, call.square
        self.low, self.high = e.splat(call.low), e.splat(call.high)
        self.has_bias = e.b.icmp_signed("!=", self.bias, e.i64(0))
        self.has_residual = e.b.icmp_signed("!=", self.residual, e.i64(0))

    def channel_block(self, channel: Value, vectors: int, count: Value | None) -> None:
        """Neighbouring channels of all pixels."""
        e, edge = self.e, self.m + 2
        square = _Square(e, e.add(self.square, LINE_BYTES), SQUARES[self.m], edge, vectors)
        source, down = e.add(self.source, channel), e.mul(self.position, edge)

        def read(column: Value, v: int) -> list[Value]:
            at = e.add(e.add(source, v * e.bytes), e.mul(column, self.position))
            return [e.load(e.f32s, e.add(at, e.mul(down, r))) for r in range(edge)]

        bias = [self._bias(e.add(channel, v * e.bytes), count) for v in range(vectors)]

        def write(row: Value, v: int, values: list[Value]) -> None:
            at = e.add(e.add(channel, v * e.bytes), e.mul(row, self.line))
            for j, value in enumerate(values):
                with e.when(e.less(j, self.columns)):
                    self._put(e.b.fadd(value, bias[v]), e.add(at, e.mul(self.pixel, j)), count)

        square.fill(result_values, read)
        square.drain(result_values, self.rows, write)

    def _bias(self, offset: Value, count: Value | None) -> Value:
        e = self.e
        zeros = [e.constant(e.f32s, 0)]
        return e.choose(self.has_bias, lambda: [load(e, e.add(self.bias, offset), count)], lambda: zeros)[0]

    def _put(self, total: Value, offset: Value, count: Value | None) -> None:
        """Store a pixel, with what is added to it and within the bounds."""
        e = self.e

        def added() -> list[Value]:
            return [e.b.fadd(total, load(e, e.add(self.residual, offset), count))]

        (total,) = e.choose(self.has_residual, added, lambda: [total])
        store(e, e.minimum(e.maximum(total, self.low), self.high), e.add(self.to, offset), count)


def _weights(e: Emitter, m: int) -> None:
    """(to, position, source, size, square, _): nine taps of `size` bytes become positions `position` bytes apart."""
    to, position, source, size, square_at, _ = e.args
    edge = m + 2
    square = _Square(e, square_at, SQUARES[m], 3, 1)
    with e.loop(0, size, e.bytes) as loop:
        at = loop.index

        def read(column: Value, v: int) -> list[Value]:
            first = e.add(e.add(source, at), e.mul(column, size))
            return [e.load(e.f32s, e.add(first, e.mul(size, 3 * r))) for r in range(3)]

        def write(row: Value, v: int, values: list[Value]) -> None:
            place = e.add(e.add(to, at), e.mul(e.mul(row, edge), position))
            for j, value in enumerate(values):
                e.store(value, e.add(place, e.mul(position, j)))

        square.fill(weight_values, read)
        square.drain(weight_values, edge, write)


assert (max(SQUARES) + 2) ** 2 * LINE_BYTES + LINE_BYTES <= TILE_SQUARE_BYTES
