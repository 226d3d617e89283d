"""The core that multiplies with the arithmetic of each thread: chunks are of float32, the terms outermost."""

from __future__ import annotations

from netdsl.compat import override
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.contract.core import Chunk, Core, Operand, high, low, round_here
from netdsl.cuda.contract.tiles import Tile
from netdsl.cuda.intrinsics import LANES
from netdsl.primitives.precision import Precision

GAP = 4
"""Floats between rows of shared memory: those that store along the terms meet different banks."""


class _Terms(Chunk):
    """The terms outermost, whatever lies together in memory."""

    def __init__(
        self, out: Lines, operand: Operand, extent: int, tile: Tile, start: int, precision: Precision
    ) -> None:
        super().__init__(out, operand, extent, tile, start)
        self.precision, self.pitch = precision, extent + GAP
        self.vector, self.size = operand.width, tile.depth * self.pitch
        self.step = 1 if operand.by_term else self.pitch

    @override
    def place(self, row: str, term: str) -> str:
        return self.out.let(f"int32({row} + {term} * {self.pitch} + {self.start})")

    @override
    def put(self, at: str, slot: int) -> None:
        name = f"{self.operand.name}_read"
        round_here(self.out, self.precision, name, slot, self.vector)
        if self.vector == 1:
            self.out.add(f"shared[{at}] = {name}[{slot}]")
        elif self.operand.by_term:
            self.out.add(f"spread4(shared, {at}, {self.pitch}, {name}, {slot})")
        else:
            self.out.add(f"put4(shared, {at}, {name}, {slot})")


class Simt(Core):
    """Each thread multiplies `high` rows by `wide` columns."""

    item = 4

    def __init__(self, out: Lines, a: Operand, b: Operand, tile: Tile, precision: Precision) -> None:
        super().__init__(out, tile)
        self.pitch = tile.columns
        self.a = self._a = _Terms(out, a, tile.rows, tile, 0, precision)
        self.b = self._b = _Terms(out, b, tile.columns, tile, self.a.size, precision)

    @override
    def arrays(self) -> None:
        sizes = {"sums": self.tile.high * self.tile.wide, "left": self.tile.high, "right": self.tile.wide}
        for name, count in sizes.items():
            self.out.add(f"{name} = cuda.local.array({count}, float32)")

    @override
    def where(self) -> None:
        super().where()
        out, tile = self.out, self.tile
        _, across = tile.lanes
        self.lane_row = out.let(f"int32({high('lane', across)} * {tile.high})")
        warp = f"{low('warp', tile.warps_across)} * {across * tile.wide}"
        self.lane_column = out.let(f"int32({warp} + {low('lane', across)} * {LANES})")

    @override
    def multiply(self, half: str) -> None:
        """The sums of a thread grow by the products of its rows and columns, term by term."""
        out, tile = self.out, self.tile
        warp = out.let(f"int32({self.warp_row} * {tile.warp_rows} + {self.lane_row})")
        a = out.let(f"int32({half} + {warp})")
        b = out.let(f"int32({half} + {self.b.start} + {self.lane_column})")
        for k in range(tile.depth):
            self._fragment("left", tile.high, a, k * self._a.pitch, LANES)
            self._fragment("right", tile.wide, b, k * self._b.pitch, LANES * tile.lanes[1])
            out.add(f"outer{tile.high}x{tile.wide}(sums, left, right)")

    def _fragment(self, name: str, count: int, start: str, row: int, apart: int) -> None:
        for k in range(0, count, LANES):
            self.out.add(f"take4({name}, {k}, shared, {start}, {row + k // LANES * apart})")

    @override
    def dump(self) -> None:
        out, tile = self.out, self.tile
        with out.block(f"for i in range({tile.high})"):
            for j in range(0, tile.wide, LANES):
                row = f"({self.lane_row} + i) * {tile.columns}"
                at = f"int32({row} + {self.lane_column} + {j * tile.lanes[1]})"
                out.add(f"put4(shared, {at}, sums, i * {tile.wide} + {j})")
