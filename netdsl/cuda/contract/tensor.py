"""The core that multiplies with tensor cores: `mma.sync` of 16 rows, 8 columns and 32 bytes of terms, float32 sums.

A chunk is 64 bytes of terms, two such products deep.  In shared memory it lies as its operand does in global memory,
so that four neighbours are stored together, and so that nobody meets a bank twice:

- by terms: each row or column has four units of 16 bytes, and unit u of row r is at place u ^ (r >> 1 & 3);
- otherwise: each term has its rows or columns one after the other, and a gap behind.

A fragment is 16 rows (or columns) at 32 bytes of terms.  A thread has four registers of it: of rows 0-7 and of rows
8-15 at the first 16 bytes, then of both at the others.  `ldmatrix` reads all four at once, turned around if need be;
it cannot turn elements of 4 bytes, which are read one by one.
"""

from __future__ import annotations

from abc import abstractmethod

from netdsl.compat import override
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.contract.core import Chunk, Core, Operand, low, round_here
from netdsl.cuda.contract.tiles import Tile
from netdsl.cuda.intrinsics import BYTES, LANES
from netdsl.primitives.precision import Precision

GAP = 8
"""Elements behind the rows or columns of a term."""
ITEM = {"tf32": 4, "bf16": 2}
"""Bytes of an element."""
ACROSS = 16
"""Rows or columns of a fragment."""
REGISTERS = 4
"""Of a fragment, and of a product's sums."""
STEPS = 2
"""Products along the terms of a chunk."""


class _Part(Chunk):
    """A chunk's part of which fragments are read; from one row or column to the next are `apart` elements."""

    apart: int
    vector = LANES

    def __init__(
        self, out: Lines, operand: Operand, extent: int, tile: Tile, start: int, precision: Precision
    ) -> None:
        super().__init__(out, operand, extent, tile, start)
        self.precision, self.unit = precision, BYTES // ITEM[precision]

    @override
    def put(self, at: str, slot: int) -> None:
        name = f"{self.operand.name}_read"
        if self.precision == "bf16":
            self.out.add(f"pack4(shared, {at}, {name}, {slot})")
        else:
            round_here(self.out, self.precision, name, slot, LANES)
            self.out.add(f"put4(shared, {at}, {name}, {slot})")

    def where(self, warp: str) -> None:
        """Write what the thread reads of the first fragment of its warp, whose first row or column is given."""
        self.thread = self.out.let(f"int32({warp} * {self.apart} + {self.start} + {self.lane()})")

    def fragments(self, name: str, count: int, half: str, step: int) -> None:
        """Read fragments that lie side by side, at a step along the terms of a half."""
        at = self.out.let(f"int32({half} + {self.at_step(step)})")
        for k in range(count):
            self.read(name, k * REGISTERS, at, k * ACROSS * self.apart)

    @abstractmethod
    def lane(self) -> str:
        """The element of a fragment that the thread reads, or whose unit it is to name."""

    @abstractmethod
    def at_step(self, step: int) -> str:
        """The element that the thread reads of the first fragment at a step along the terms."""

    @abstractmethod
    def read(self, name: str, slot: int, at: str, further: int) -> None:
        """Read a fragment."""


class _ByTerms(_Part):
    def __init__(
        self, out: Lines, operand: Operand, extent: int, tile: Tile, start: int, precision: Precision
    ) -> None:
        super().__init__(out, operand, extent, tile, start, precision)
        self.apart = self.step = tile.depth
        self.size = extent * tile.depth

    @override
    def place(self, row: str, term: str) -> str:
        unit = f"({term} ^ {_turn(row)} * {self.unit})"
        return self.out.let(f"int32({row} * {self.apart} + {unit} + {self.start})")

    @override
    def further(self, place: str, half: str, steps: int) -> str:
        turn = (steps >> 1 & 3) * self.unit
        return super().further(f"({place} ^ {turn})" if turn else place, half, steps)

    @override
    def lane(self) -> str:
        unit = f"((lane >> 4) ^ {_turn('lane')}) * {self.unit}"
        return f"{low('lane', ACROSS)} * {self.apart} + {unit}"

    @override
    def at_step(self, step: int) -> str:
        return f"({self.thread} ^ {2 * step * self.unit})" if step else self.thread

    @override
    def read(self, name: str, slot: int, at: str, further: int) -> None:
        self.out.add(f"{self.precision}_fragment({name}, {slot}, shared, {at}, {further})")


class _ByRows(_Part):
    apart = 1

    def __init__(
        self, out: Lines, operand: Operand, extent: int, tile: Tile, start: int, precision: Precision
    ) -> None:
        super().__init__(out, operand, extent, tile, start, precision)
        self.step = extent + GAP
        self.size = tile.depth * self.step

    @override
    def place(self, row: str, term: str) -> str:
        return self.out.let(f"int32({row} + {term} * {self.step} + {self.start})")

    @override
    def lane(self) -> str:
        if self.precision == "tf32":
            return f"{low('lane', 4)} * {self.step} + (lane >> 2)"
        return f"({low('lane', 8)} + (lane >> 4) * 8) * {self.step} + ((lane >> 3) & 1) * 8"

    @override
    def at_step(self, step: int) -> str:
        return f"{self.thread} + {2 * step * self.unit * self.step}"

    @override
    def read(self, name: str, slot: int, at: str, further: int) -> None:
        given = f"{name}, {slot}, shared, {at}, {further}"
        self.out.add(f"{self.precision}_turned_fragment({given}, {self.step})")


class Tensor(Core):
    """A warp multiplies its `high` x 8 rows by `wide` x 4 columns, a fragment by a fragment."""

    def __init__(self, out: Lines, a: Operand, b: Operand, tile: Tile, precision: Precision) -> None:
        super().__init__(out, tile)
        self.precision, self.item = precision, ITEM[precision]
        self.pitch = tile.columns + GAP
        self.a = self._a = self._part(a, tile.rows, 0)
        self.b = self._b = self._part(b, tile.columns, self.a.size)
        self.rows, self.columns = tile.high // 2, tile.wide // 2

    def _part(self, operand: Operand, extent: int, start: int) -> _Part:
        kind = _ByTerms if operand.by_term else _ByRows
        return kind(self.out, operand, extent, self.tile, start, self.precision)

    @override
    def arrays(self) -> None:
        out = self.out
        out.add(f"sums = cuda.local.array({self.tile.high * self.tile.wide}, float32)")
        out.add(f"left = cuda.local.array({REGISTERS * self.rows}, int32)")
        out.add(f"right = cuda.local.array({REGISTERS * self.columns // 2}, int32)")

    @override
    def where(self) -> None:
        super().where()
        out, tile = self.out, self.tile
        wide = tile.lanes[1] * tile.wide
        column = out.let(f"int32({low('warp', tile.warps_across)} * {wide})")
        self._a.where(f"{self.warp_row} * {tile.warp_rows}")
        self._b.where(column)
        self.lane_sum = out.let(f"int32((lane >> 2) * {self.pitch} + {column} + {low('lane', 4)} * 2)")

    @override
    def multiply(self, half: str) -> None:
        for step in range(STEPS):
            self._a.fragments("left", self.rows, half, step)
            self._b.fragments("right", self.columns // 2, half, step)
            self.out.add(f"{self.precision}_product{self.rows}x{self.columns}(sums, left, right)")

    @override
    def dump(self) -> None:
        """A product's sums are two neighbours of a row, and two of the eighth row behind."""
        out, columns = self.out, self.columns
        with out.block(f"for i in range({2 * self.rows})"), out.block(f"for j in range({columns})"):
            at = f"int32({self.lane_sum} + (i * {self.pitch} + j) * 8)"
            out.add(f"put2(shared, {at}, sums, ((i >> 1) * {columns} + j) * {REGISTERS} + (i & 1) * 2)")


def _turn(row: str) -> str:
    """What the units of a row are exchanged by."""
    return f"(({row} >> 1) & 3)"
