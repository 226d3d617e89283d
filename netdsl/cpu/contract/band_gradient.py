"""Plans weight gradients over bands: the terms of a row of the kernel lie in a padded copy of the source.

To gather the terms of every pixel copies each as often as the kernel has taps, which for few channels costs more than
to multiply them.  In a padded copy of the rows, those of all columns of the kernel follow each other, so that a tile
has the terms of one row of the kernel, and nothing is copied twice.  A band is of one image: in small ones, sums over
pixels that are gathered from several are taken up and put down less often.
"""

from __future__ import annotations

import math

import numpy as np

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import Plan, Slot
from netdsl.cpu.contract.arguments import BUFFER_BYTES, BandGradient
from netdsl.cpu.contract.blocks import cut_blocks, fill_panels, fill_source, row_pitch
from netdsl.cpu.contract.geometry import Geometry, forward
from netdsl.cpu.contract.gradient import PIXELS, SUM, UNITS, in_parts, share_panels
from netdsl.cpu.contract.panels import Panels, panels_for
from netdsl.cpu.contract.problem import Problem
from netdsl.cpu.contract.step import code
from netdsl.cpu.step import Step
from netdsl.native import host

#: Cycles for each step of a tile at least, as its sums wait for themselves.
LATENCY = 4


class BandGradients:
    """Role "backward_weights" over padded bands of rows."""

    def applies(self, problem: Problem) -> bool:
        """Whether the terms of a row of the kernel follow each other, and a band of rows fits a thread's buffer."""
        g = problem.geometry
        flat = g.x[0] == g.y[0] == g.k[0] == 1 and g.lo[0] == 0
        plane = flat and g.groups == g.dilation[2] == 1 and g.x_pitch == g.c
        if problem.role != "backward_weights" or not plane or not all((g.n, g.c, g.f, *g.y, *g.k, g.x[2])):
            return False
        return _Band(g, 1).bytes + 4 * g.y[2] * _panels(g).width <= BUFFER_BYTES

    def cost(self, problem: Problem) -> float:
        """Cycles of one thread: steps of the tiles, and a load and a store for each vector of the copies."""
        g, panels = problem.geometry, _panels(problem.geometry)
        vectors = -(-g.f // host.lanes())
        step = max(LATENCY * panels.count, vectors * g.k[2] * g.c / 2) * g.k[1]
        copied = g.k[1] / g.stride[1] * g.stride[2] * g.c / host.lanes() + vectors
        kept = SUM * vectors * g.k[1] * g.k[2] * g.c / (_lines(g, panels) * g.y[2])
        return math.prod((g.n, *g.y)) * (step + 2 * copied + kept)

    def plan(self, problem: Problem) -> Plan[Step]:
        """The step, or those of the parts and their sum."""
        g, (x, y) = problem.geometry, problem.operands[:2]
        c, panels = forward(g), _panels(g)
        block = Arguments(
            BandGradient, zeros=np.zeros(panels.width, np.float32), copy_panel=code("copy_panel")
        )
        fill_source(block, c)
        fill_panels(block, panels)
        lines = _lines(g, panels)
        band = _Band(g, lines)
        blocks = g.n * cut_blocks(block, g.n, g.y[1], g.y[2], lines, g.y[2])
        parts = min(blocks, UNITS)
        splits = share_panels(parts, panels.count, problem.options.threads)
        terms = g.k[2] * g.c
        block.fill(band_depths=[0], band_planes=1, band_plane=0, band_height=(g.k[1] - 1) * g.dilation[1] + 1)
        block.fill(band_top=-g.lo[1], band_start=-g.lo[2] * g.c, band_span=terms)
        block.fill(chunk_count=0, chunks=[], splits=splits, pitch=band.pitch, y_buffer=band.bytes)
        block.fill(
            lines=[k * g.stride[1] * band.pitch for k in range(lines)], tap_row=g.dilation[1] * band.pitch
        )
        block.fill(kernel_rows=g.k[1], terms=terms, w_tap=4 * terms * g.f, w_row=4 * g.f)
        block.fill(y_pixel=4 * g.y_pitch, y_columns=g.f, panel_vectors=panels.vectors, a=Slot(x), y=Slot(y))
        title = f"{g.title('backward_weights')} bands"
        return in_parts("band_gradient", title, block, g, problem.result, parts, parts * splits)


def _panels(g: Geometry) -> Panels:
    return panels_for(g.k[2] * g.c, g.f)


def _lines(g: Geometry, panels: Panels) -> int:
    """Lines of a block: as many as keep both operands of a tile in the first-level cache."""
    lines = max(1, min(g.y[1], PIXELS // g.y[2]))
    while lines > 1 and _Band(g, lines).bytes + 4 * lines * g.y[2] * panels.width > BUFFER_BYTES:
        lines -= 1
    return lines


class _Band:
    """The padded copy of what so many lines of results read."""

    def __init__(self, g: Geometry, lines: int) -> None:
        self.pitch = row_pitch(((g.y[2] - 1) * g.stride[2] + g.k[2]) * g.c)
        self.bytes = ((lines - 1) * g.stride[1] + (g.k[1] - 1) * g.dilation[1] + 1) * self.pitch
