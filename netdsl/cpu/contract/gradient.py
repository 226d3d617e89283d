"""Plans weight gradients: a row of the GEMM is a (tap, channel) pair, and the sum runs over gathered pixels."""

from __future__ import annotations

import math

import numpy as np

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import SCRATCH, Plan, Slot, start_of
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract.arguments import BUFFER_BYTES, WeightGradient
from netdsl.cpu.contract.blocks import cut_blocks, fill_gathers, fill_panels, fill_source, row_pitch
from netdsl.cpu.contract.depthwise_plan import is_depthwise
from netdsl.cpu.contract.geometry import Correlation, Geometry, cut, forward, runs, split
from netdsl.cpu.contract.panels import panels_for
from netdsl.cpu.contract.problem import Problem
from netdsl.cpu.contract.step import code, gradient_library, sum_step
from netdsl.cpu.step import Code, Step
from netdsl.native import host
from netdsl.schedule import View

# Terms of a unit of work and pixels of a block: both operands of the micro-kernel stay in the first-level cache.
TERMS, PIXELS = 144, 192
# Cycles for each run that is gathered, and for each vector of sums that is taken up and put down with each block.
RUN, SUM = 8, 1.5
# Units that a gradient is cut into at least, where its pixels allow; the same for any number of threads.
UNITS = 8


class WeightGradients:
    """Role "backward_weights" as a GEMM."""

    def applies(self, problem: Problem) -> bool:
        """Whether the role is this one, and something is summed over channels."""
        return problem.role == "backward_weights" and not is_depthwise(problem.geometry)

    def cost(self, problem: Problem) -> float:
        """Cycles of one thread: two multiply-adds of vectors in each, and those to gather the terms of each pixel."""
        g = problem.geometry
        sums = math.prod(g.k) * g.channels * -(-g.f // host.lanes())
        gathered = math.prod(g.k) * g.groups * (RUN / g.k[2] + 2 * g.c / host.lanes())
        return math.prod((g.n, *g.y)) * (sums / 2 + gathered + SUM * sums / PIXELS)

    def plan(self, problem: Problem) -> Plan[Step]:
        """The step, or those of the parts and their sum."""
        x, y = problem.operands[:2]
        return _plan(problem.geometry, x, y, problem.result, problem.options.threads)


def _plan(g: Geometry, x: View, y: View, result: View, threads: int) -> Plan[Step]:
    """The steps of role "backward_weights".

    Where the result is too small to occupy the threads, parts of the pixels are summed apart, always the same
    ones, and a second step adds the parts.
    """
    c = forward(g).flattened()
    size = 4 * c.depth * g.features
    if not size:
        return Plan(())
    if not c.pixels:
        return Plan((sum_step(g, result, 0, size),))
    tile = gemm.tile_rows()[2]
    bounds = split(c.depth, TERMS // tile * tile, tile)
    panels = panels_for(bounds[0][1], c.columns)
    block = Arguments(WeightGradient, panel_vectors=panels.vectors, zeros=np.zeros(panels.width, np.float32))
    fill_source(block, c)
    fill_panels(block, panels)
    _fill_strides(block, c, g)
    blocks = _cut(block, c, bounds, panels.width)
    units = c.groups * len(bounds)
    parts = max(1, min(blocks, UNITS // units))
    splits = share_panels(units * parts, panels.count, threads)
    block.fill(a=Slot(x), y=Slot(y), splits=splits)
    title = g.title("backward_weights")
    return in_parts("weight_gradient", title, block, g, result, parts, units * parts * splits)


def in_parts(
    driver: str, title: str, block: Arguments, g: Geometry, result: View, parts: int, units: int
) -> Plan[Step]:
    """The step of a gradient that is summed over so many parts of the pixels, and the one that adds the parts."""
    size = 4 * g.k[0] * g.k[1] * g.k[2] * g.c * g.features
    to, scratch = (start_of(SCRATCH), parts * size) if parts > 1 else (result, 0)
    block.fill(parts=parts, w_part=size, w=Slot(to, written=True))
    step = Step(title, Code(gradient_library, driver), block, scratch, units)
    return Plan((step,) if parts == 1 else (step, sum_step(g, result, parts, size)))


def _fill_strides(block: Arguments, c: Correlation, g: Geometry) -> None:
    block.fill(w_group=4 * g.f, y_group=4 * g.f, y_columns=c.columns)
    block.fill(w_row=4 * g.features, y_pixel=4 * g.y_pitch)
    block.fill(copy_panel=code("copy_panel"), one_tap=[0])


def _cut(block: Arguments, c: Correlation, bounds: list[tuple[int, int]], width: int) -> int:
    """Cut terms and pixels into pieces, for panels of `width` columns; returns the blocks of pixels."""
    found = runs(c)
    fill_gathers(block, [(cut(found, a, b), a) for a, b in bounds], block["w_row"])
    pitch = row_pitch(max(b - a for a, b in bounds))
    pixels = max(1, min(PIXELS, BUFFER_BYTES // (pitch + 4 * width)))
    block.fill(pitch=pitch, y_buffer=pixels * pitch)
    rows = c.source[0] * c.count[0] * c.count[1]
    return cut_blocks(block, 1, rows, c.count[2], max(1, pixels // c.count[2]), pixels)


def share_panels(units: int, panels: int, threads: int) -> int:
    """Shares of the panels that even the work of the threads out; each gathers the pixels again."""

    def time(splits: int) -> float:
        return -(-units * splits // threads) / splits * (1 + 0.05 * (splits - 1))

    return min(range(1, min(panels, 2 * threads) + 1), key=time)
