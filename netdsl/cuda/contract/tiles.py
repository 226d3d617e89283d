"""The tiles of a product of matrices, and which one fits: by sizes alone, so that all cards compute the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.cuda.codegen.nest import WARP
from netdsl.primitives.precision import Precision


@dataclass(frozen=True)
class Tile:
    """Rows, columns and terms of a block; each thread sums `high` rows of `wide` columns."""

    rows: int
    columns: int
    depth: int
    high: int
    wide: int
    blocks: int
    """Blocks that a multiprocessor holds at once, where channels are read four at a time."""
    narrow_blocks: int
    """The same where they are read one by one, which takes more registers."""
    tensor: bool = False
    """Whether tensor cores multiply."""

    @property
    def lanes(self) -> tuple[int, int]:
        """How many threads a warp is high and wide."""
        return (8, 4) if self.tensor else (4, 8)

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.rows * self.columns // (self.high * self.wide)

    @property
    def warp_rows(self) -> int:
        """Rows of a warp."""
        return self.lanes[0] * self.high

    @property
    def warps_across(self) -> int:
        """Warps side by side."""
        return self.columns // (self.lanes[1] * self.wide)


TILES = {
    Tile(128, 128, 8, 8, 8, 2, 2): 1.0,
    Tile(128, 64, 8, 8, 8, 4, 3): 0.9,
    Tile(64, 64, 16, 4, 4, 2, 2): 0.7,
    Tile(128, 32, 16, 8, 4, 4, 3): 0.65,
    Tile(32, 32, 8, 4, 4, 8, 8): 0.45,
}
"""The share of its peak that a full multiprocessor reaches with a tile, by the reads of shared memory it takes."""
TENSOR: Mapping[Precision, Mapping[Tile, float]] = {
    "f32": {},
    "tf32": {
        Tile(128, 128, 16, 4, 16, 2, 2, True): 3.0,
        Tile(128, 64, 16, 4, 8, 2, 2, True): 2.2,
        Tile(64, 64, 16, 4, 8, 4, 4, True): 1.6,
    },
    "bf16": {
        Tile(128, 128, 32, 4, 16, 2, 1, True): 3.5,
        Tile(128, 64, 32, 4, 8, 2, 2, True): 2.5,
        Tile(64, 64, 32, 4, 8, 4, 4, True): 1.8,
    },
}
"""The same of tiles for tensor cores, of the same peak.

Tensor cores multiply many times as fast, but factors are of float32 in memory: what a tile reaches follows from how
often it multiplies each.
"""

PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
PROCESSORS = 132
WAITING = 2
"""Warps that wait at any time, of those that a processor holds."""
START = 64
"""Terms that take as long at the peak as beginning and ending a tile."""
LAUNCH = 300_000
"""Multiply-adds of one multiprocessor in the time of one more launch."""
ADD = 58
"""Multiply-adds of one multiprocessor in the time that it writes and reads one element of a part."""


def cut(rows: int, columns: int, terms: int, groups: int, precision: Precision) -> tuple[Tile, int]:
    """The tile, and in how many parts the terms are summed, by a model of the time that some 132 processors take."""
    tiles = {**TILES, **TENSOR[precision]}
    choices = [(tile, _parts(terms, tile, wanted)) for tile in tiles for wanted in PARTS]
    return min(choices, key=lambda c: _time(c[0], tiles[c[0]], c[1], rows, columns, terms, groups))


def _parts(terms: int, tile: Tile, wanted: int) -> int:
    """The parts that are not empty when so many are wanted."""
    chunks = max(1, -(-terms // tile.depth))
    return -(-chunks // -(-chunks // wanted))


def _time(tile: Tile, share: float, parts: int, rows: int, columns: int, terms: int, groups: int) -> float:
    """In multiply-adds of one processor."""
    blocks = -(-rows // tile.rows) * -(-columns // tile.columns) * groups * parts
    each = -(-blocks // PROCESSORS)
    warps = min(each, tile.blocks) * tile.threads // WARP
    area, busy = tile.rows * tile.columns, warps / (warps + WAITING)
    block = (terms / parts + START * max(1.0, share)) * area / (share * busy)
    second = LAUNCH + ADD * parts * rows * columns * groups / PROCESSORS if parts > 1 else 0
    return each * block + second
