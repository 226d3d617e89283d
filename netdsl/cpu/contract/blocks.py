"""Parts of argument blocks that all drivers of contractions share: the source, blocks of pixels, runs to gather."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu.contract import words as w
from netdsl.cpu.contract.geometry import Correlation, Run
from netdsl.cpu.contract.step import code
from netdsl.cpu.step import Address
from netdsl.native import host

Ints = NDArray[np.int64]


@dataclass
class Block:
    """An argument block under construction, the arrays that it points at, and the code that it calls."""

    words: Ints
    keep: list[NDArray[np.generic]] = field(default_factory=list)
    links: dict[int, Address] = field(default_factory=dict)

    def point(self, word: int, array: NDArray[np.generic]) -> None:
        """Put the address of an array."""
        self.words[word] = self.hold(array)

    def hold(self, array: NDArray[np.generic]) -> int:
        """Keep an array; returns its address."""
        self.keep.append(array)
        return int(array.ctypes.data)


def source_words(block: Block, c: Correlation) -> None:
    """Fill in the words about the source."""
    words = block.words
    _, depth, height, width = c.source
    words[[w.DEPTH, w.HEIGHT, w.ROW_FLOATS]] = [depth, height, width * c.width]
    # What follows the last pixel may be another row, or lie in a gap.
    words[w.ROW_END] = (width - 1) * c.width + c.channels * c.groups if width else 0
    words[[w.STEP_DEPTH, w.STEP_HEIGHT, w.STEP_FLOATS]] = [c.step[0], c.step[1], c.step[2] * c.width]
    words[[w.COUNT_DEPTH, w.COUNT_HEIGHT, w.COUNT_WIDTH]] = c.count
    words[[w.A_GROUP, w.GROUPS]] = [c.channels, c.groups]
    block.links[w.COPY_RUNS] = code("copy_runs")


def cut_blocks(block: Block, planes: int, rows: int, width: int, lines: int, pixels: int) -> int:
    """Cut `planes` of `rows` lines of `width` pixels into blocks; returns how many there are."""
    lines, pixels = min(lines, rows), min(pixels, width)
    words = block.words
    words[[w.PLANES, w.ROWS, w.BLOCK_ROWS, w.BLOCK_WIDTH]] = [planes, rows, lines, pixels]
    words[[w.ROW_BLOCKS, w.COLUMN_BLOCKS]] = [-(-rows // lines), -(-width // pixels)]
    return planes * -(-rows // lines) * -(-width // pixels)


def gather_table(block: Block, chunks: list[tuple[list[Run], int]], b_step: int) -> None:
    """The chunks as runs to gather; terms of chunk number k start at `chunks[k][1]`."""
    table = np.zeros((len(chunks), w.CHUNK_WORDS), np.int64)
    one_tap = block.hold(np.zeros(1, np.int64))
    for row, (pieces, first) in zip(table, chunks, strict=True):
        found = [[r.length, r.depth, r.height, r.start, 4 * (r.first - first)] for r in pieces]
        row[w.CHUNK_RUNS] = block.hold(np.array(found, np.int64).reshape(-1, w.RUN_WORDS))
        row[w.CHUNK_RUN_COUNT] = len(found)
        row[w.CHUNK_TAPS], row[w.CHUNK_TAP_COUNT] = one_tap, 1 if found else 0
        row[w.CHUNK_TAP_RUN] = sum(r.length for r in pieces)
        row[w.CHUNK_B] = first * b_step
    block.words[w.CHUNKS] = len(chunks)
    block.point(w.CHUNK_TABLE, table)


def row_pitch(floats: int) -> int:
    """Bytes from one copied row to the next.

    There is room for one vector more, which copies of runs may write, and the cache lines are odd in number, so that
    rows spread over the cache.
    """
    return 64 * (-(-(floats + host.lanes()) // 16) | 1)
