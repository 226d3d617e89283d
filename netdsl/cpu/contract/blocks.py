"""What the argument blocks of all drivers of contractions share: the source, blocks of pixels, runs to gather."""

from __future__ import annotations

from netdsl.backend.arguments import Arguments
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract.arguments import Chunk, RunRow
from netdsl.cpu.contract.geometry import Correlation, Run
from netdsl.cpu.contract.panels import KernelTable, Panels
from netdsl.cpu.contract.step import code
from netdsl.native import host


def fill_source(block: Arguments, c: Correlation) -> None:
    """Fill in the fields about the source."""
    _, depth, height, width = c.source
    block.fill(depth=depth, height=height, row_floats=width * c.width)
    # What follows the last pixel may be another row, or lie in a gap.
    block.fill(row_end=(width - 1) * c.width + c.channels * c.groups if width else 0)
    block.fill(step_depth=c.step[0], step_height=c.step[1], step_floats=c.step[2] * c.width)
    block.fill(count_depth=c.count[0], count_height=c.count[1], count_width=c.count[2])
    block.fill(a_group=c.channels, groups=c.groups, copy_runs=code("copy_runs"))


def fill_panels(block: Arguments, p: Panels) -> None:
    """Fill in the fields about the panels of columns."""
    most, last = (gemm.tile_rows()[v] for v in (p.vectors, p.ending))
    block.fill(panels=p.count, lanes=p.lanes, last_tail=p.tail, most=most, last_most=last)
    block.fill(kernels=KernelTable(p.vectors), last_kernels=KernelTable(p.ending))


def cut_blocks(block: Arguments, planes: int, rows: int, width: int, lines: int, pixels: int) -> int:
    """Cut `planes` of `rows` lines of `width` pixels into blocks; returns how many a plane has."""
    lines, pixels = min(lines, rows), min(pixels, width)
    row_blocks, column_blocks = -(-rows // lines), -(-width // pixels)
    block.fill(planes=planes, rows=rows, block_rows=lines, block_width=pixels)
    block.fill(row_blocks=row_blocks, column_blocks=column_blocks)
    return row_blocks * column_blocks


def fill_gathers(block: Arguments, chunks: list[tuple[list[Run], int]], b_step: int) -> None:
    """The chunks as runs to gather; terms of chunk number k start at `chunks[k][1]`."""
    table = [
        Arguments(
            Chunk,
            taps=[0],
            tap_count=1 if pieces else 0,
            tap_run=sum(r.length for r in pieces),
            b=first * b_step,
            runs=[_run(r, first) for r in pieces],
            run_count=len(pieces),
        )
        for pieces, first in chunks
    ]
    block.fill(chunks=table, chunk_count=len(table))


def _run(r: Run, first: int) -> Arguments:
    to = 4 * (r.first - first)
    return Arguments(RunRow, length=r.length, depth=r.depth, height=r.height, start=r.start, to=to)


def row_pitch(floats: int) -> int:
    """Bytes from one copied row to the next.

    There is room for one vector more, which copies of runs may write, and the cache lines are odd in number, so that
    rows spread over the cache.
    """
    return 64 * (-(-(floats + host.lanes()) // 16) | 1)
