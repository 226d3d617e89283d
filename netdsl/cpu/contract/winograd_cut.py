"""How Winograd's tiles are cut into units of work, and what that costs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.cpu.contract import costs, gemm
from netdsl.cpu.contract.arguments import TILE_BYTES
from netdsl.cpu.contract.panels import Panels, panels_for, tile_cycles

# Cycles of the transforms, by the edge: for a vector of channels of a tile, or a vector of the weights of a tap.
INPUT_CYCLES, RESULT_CYCLES, WEIGHT_CYCLES = {2: 50, 4: 140}, {2: 30, 4: 95}, {2: 40, 4: 75}
# Cycles around a call of a micro-kernel and of a transform; of a tile of sums that is put away and taken up again.
CALL_CYCLES, TILE_CALL_CYCLES, SUM_CYCLES = 30, 40, 25
LINE = 64
# Tiles of a block at most, and channels that are taken at a time at least.
MOST_TILES, LEAST_CHUNK = 64, 32


@dataclass(frozen=True)
class Tiles:
    """Tiles of `edge` x `edge` pixels of maps of `height` x `width`."""

    edge: int
    images: int
    height: int
    width: int
    channels: int
    features: int

    @property
    def rows(self) -> int:
        """Of an image."""
        return -(-self.height // self.edge)

    @property
    def columns(self) -> int:
        """Of an image."""
        return -(-self.width // self.edge)

    @property
    def count(self) -> int:
        """Of all images."""
        return self.images * self.rows * self.columns

    @property
    def positions(self) -> int:
        """Products of a tile and a channel."""
        return (self.edge + 2) ** 2


@dataclass(frozen=True)
class Cut:
    """Blocks of `tiles` tiles, shares of the panels, and `chunk` channels that are taken at a time."""

    tiles: int
    splits: int
    chunk: int
    panels: Panels
    cycles: float = 0

    @property
    def share(self) -> int:
        """Panels of the largest share."""
        return -(-self.panels.count // self.splits)

    @property
    def row(self) -> int:
        """Bytes of a position of a tile."""
        return 4 * self.chunk

    @property
    def position(self) -> int:
        """Bytes of a position of all tiles."""
        return spread(self.tiles * self.row)

    @property
    def result_row(self) -> int:
        """Bytes of the products in a position of a tile."""
        return 4 * self.panels.width * self.share

    @property
    def result_position(self) -> int:
        """Bytes of the products in a position of all tiles."""
        return spread(self.tiles * self.result_row)


def spread(size: int) -> int:
    """At least so many bytes, as an odd number of cache lines: positions that far apart spread over the cache."""
    return LINE * (-(-size // LINE) | 1)


@functools.lru_cache(maxsize=4096)
def best_cut(tiles: Tiles, threads: int, lanes: int) -> Cut:
    """The cut with the fewest cycles of the busiest of so many threads, for vectors of so many lanes."""
    found = (
        Cut(c.tiles, c.splits, c.chunk, c.panels, _cycles(tiles, c, threads))
        for c in _cuts(tiles, threads, lanes)
    )
    return min(found, key=lambda cut: cut.cycles)


def weight_cycles(tiles: Tiles) -> float:
    """Cycles of one thread that go to transforming the weights."""
    panels = panels_for(gemm.tile_rows()[2], tiles.features)
    return tiles.channels * panels.count * panels.vectors * WEIGHT_CYCLES[tiles.edge]


def _cuts(tiles: Tiles, threads: int, lanes: int) -> Iterator[Cut]:
    """Cuts whose tiles stay in the second-level cache."""
    for block in _blocks(tiles.count, threads):
        panels = panels_for(block, tiles.features)
        for splits in sorted({-(-panels.count // share) for share in range(1, panels.count + 1)}):
            rest = TILE_BYTES // tiles.positions - Cut(block, splits, 0, panels).result_position
            # The line is what an odd number of them may have more.
            most = (rest - LINE) // (4 * block) // lanes * lanes
            if most >= LEAST_CHUNK:
                pieces = -(-tiles.channels // most)
                yield Cut(block, splits, -(-tiles.channels // (pieces * lanes)) * lanes, panels)


def _blocks(count: int, threads: int) -> list[int]:
    """Sizes of blocks, nearly even: of whole tiles of the micro-kernels, in numbers that occupy the threads."""
    height = gemm.tile_rows()[2]
    fewest = {-(-count // most) for most in range(height, MOST_TILES + 1, height)}
    return sorted({-(-count // n) for n in fewest | {-(-n // threads) * threads for n in fewest}})


def _cycles(tiles: Tiles, cut: Cut, threads: int) -> float:
    """Cycles of the busiest of so many threads."""
    blocks, chunks = -(-tiles.count // cut.tiles), -(-tiles.channels // cut.chunk)
    lanes, vectors = cut.panels.lanes, cut.panels.vectors
    heights = -(-cut.tiles // gemm.tile_rows()[vectors])
    products = tiles.channels * tile_cycles(cut.tiles, vectors) + chunks * (
        CALL_CYCLES + heights * SUM_CYCLES
    )
    there = -(-tiles.channels // lanes) * INPUT_CYCLES[tiles.edge]
    back = cut.share * vectors * RESULT_CYCLES[tiles.edge]
    transforms = cut.tiles * (there + back + (chunks + 1) * TILE_CALL_CYCLES)
    units = -(-blocks * cut.splits // threads)
    weights = 4 * tiles.positions * tiles.channels * cut.panels.count * cut.panels.width
    reading = costs.weight_cycles(weights, blocks) / threads
    return units * (cut.share * tiles.positions * products + transforms) + reading
