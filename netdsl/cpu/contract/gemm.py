"""The GEMM micro-kernels: all arithmetic of dense layers and convolutions happens in them.

A kernel named (rows, vectors) keeps a tile of `rows` x `vectors` accumulators in registers and computes, for
as many tiles below each other as it is told,

    c[p, v] = clamp(init[p, v] + sum over taps t and steps k of a[t, p, k] * b[t, k, v] + residual[p, v])

where `a[t, p, k]` is a scalar at `a + taps[t] + p*a_row + k*a_step`, and `b` is read on and on, one row of
`b_step` bytes per step. A convolution whose rows lie in memory has a tap per run of contiguous channels, a
packed one has a single tap. All but (rows, vectors) is data, so a few dozen kernels serve every network.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.contract.arguments import ODD_MULTIPLES, GemmCall
from netdsl.native import host
from netdsl.native.emit import F32, Emitter, Value


def a_rows(stride: int) -> list[int]:
    """Return the words `a_row` for rows of a that are `stride` bytes apart.

    They come from memory because LLVM, when it can see that they are multiples of each other, turns the
    independent addresses of the rows into one chain of additions that is slower than the arithmetic.
    """
    return [odd * stride for odd in range(1, 2 * ODD_MULTIPLES, 2)]


def tile_rows() -> dict[int, int]:
    """Return the most rows of a tile for each number of vectors that has kernels.

    The accumulators, one vector per column and one scalar must fit the registers, or LLVM spills; and more than
    14 rows need more addresses than x86 has registers for.
    """
    if host.vector_registers() == 32:
        return {1: 14, 2: 14, 3: 9, 4: 6, 5: 2, 6: 2, 7: 1, 8: 1}
    return {1: 12, 2: 6, 3: 4, 4: 2, 5: 1, 6: 1, 7: 1, 8: 1}


def kernels() -> dict[str, Kernel]:
    """Return every micro-kernel under its name; the arguments are (call, a, b, c, init, residual, tiles)."""
    return {
        kernel_name(rows, vectors): Kernel(_tile_emitter(rows, vectors), 7)
        for vectors, most in tile_rows().items()
        for rows in range(1, most + 1)
    }


def kernel_name(rows: int, vectors: int) -> str:
    """Return the name of the kernel with this tile."""
    return f"gemm_{rows}x{vectors}"


def _tile_emitter(rows: int, vectors: int) -> Callable[[Emitter], None]:
    return lambda e: _Tile(e, rows, vectors).emit()


class _Tile:
    """Emits one micro-kernel."""

    def __init__(self, e: Emitter, rows: int, vectors: int) -> None:
        self.e, self.rows, self.vectors = e, rows, vectors
        self.call, self.a, self.b, self.c, self.init, self.residual, self.tiles = e.args
        self.block = e.fields(self.call, GemmCall)
        self.tail = self.block.tail
        self.full = e.b.icmp_signed("==", self.tail, e.i64(e.lanes))
        self.c_row, self.init_row = _rows(e, self.block.c_row), _rows(e, self.block.init_row)
        self.odd = [self.block.a_row[k] for k in range(rows // 2)]

    def emit(self) -> None:
        e = self.e
        low, high = e.splat(self.block.low), e.splat(self.block.high)
        has_residual = e.b.icmp_signed("!=", self.residual, e.i64(0))
        with e.loop(0, self.tiles, 1, [self.a, self.c, self.init, self.residual]) as loop:
            a, c, init, residual = loop.carried
            total = self._products(a, self._load(init, self.init_row))
            total = e.choose(
                has_residual,
                lambda: [
                    e.b.fadd(x, y) for x, y in zip(total, self._load(residual, self.c_row), strict=True)
                ],
                lambda: total,
            )
            self._store([e.minimum(e.maximum(x, low), high) for x in total], c)
            down = e.mul(self.block.c_row, self.rows)
            loop.next(
                e.add(a, e.mul(self.block.a_row[0], self.rows)),
                e.add(c, down),
                e.add(init, e.mul(self.block.init_row, self.rows)),
                e.add(residual, down),
            )

    def _products(self, a: Value, total: list[Value]) -> list[Value]:
        e = self.e
        block = self.block
        taps, count, run, a_step, b_step = block.taps, block.tap_count, block.run, block.a_step, block.b_step
        ahead = block.ahead
        with e.loop(0, count, 1, [self.b, *total]) as outer:
            start = e.add(a, e.load(taps.type, e.add(taps, e.mul(outer.index, 8))))
            with e.loop(0, run, 1, [start, *outer.carried]) as inner:
                x, b, *acc = inner.carried
                columns = [e.load(e.f32s, b, v * e.bytes) for v in range(self.vectors)]
                e.prefetch(b, ahead)
                for p in range(self.rows):
                    scalar = e.splat(e.load(F32, self._a_row(x, p)))
                    for v in range(self.vectors):
                        k = p * self.vectors + v
                        acc[k] = e.fma(scalar, columns[v], acc[k])
                inner.next(e.add(x, a_step), e.add(b, b_step), *acc)
            outer.next(*inner.results[1:])
        return outer.results[1:]

    def _a_row(self, base: Value, p: int) -> Value:
        """The address of row p: a base, plus an odd multiple of the stride times 1, 2, 4 or 8.

        x86 scales the index of an address by those, so 14 rows take 7 registers beside the base.
        """
        if p == 0:
            return base
        power = p & -p
        return self.e.add(base, self.e.mul(self.odd[p // power // 2], power))

    def _load(self, address: Value, row: Callable[[Value, int], Value]) -> list[Value]:
        e, last = self.e, self.vectors - 1

        def load(whole: bool) -> list[Value]:
            values = []
            for p in range(self.rows):
                at = row(address, p)
                values += [e.load(e.f32s, at, v * e.bytes) for v in range(last)]
                values.append(
                    e.load(e.f32s, at, last * e.bytes)
                    if whole
                    else e.load_part(e.f32s, at, self.tail, last * e.bytes)
                )
            return values

        return e.choose(self.full, lambda: load(True), lambda: load(False))

    def _store(self, values: list[Value], address: Value) -> None:
        e, last = self.e, self.vectors - 1
        for p in range(self.rows):
            for v in range(last):
                e.store(values[p * self.vectors + v], self.c_row(address, p), v * e.bytes)
        with e.b.if_else(self.full) as (whole, partial):
            with whole:
                for p in range(self.rows):
                    e.store(values[(p + 1) * self.vectors - 1], self.c_row(address, p), last * e.bytes)
            with partial:
                for p in range(self.rows):
                    e.store_part(
                        values[(p + 1) * self.vectors - 1], self.c_row(address, p), self.tail, last * e.bytes
                    )


def _rows(e: Emitter, stride: Value) -> Callable[[Value, int], Value]:
    """Return `address(base, p)` = base + p*stride."""
    return lambda base, p: e.add(base, e.mul(stride, p)) if p else base
