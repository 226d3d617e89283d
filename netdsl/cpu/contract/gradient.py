"""Plans weight gradients: a row of the GEMM is a (tap, channel) pair, and the sum runs over gathered pixels."""

from __future__ import annotations

import numpy as np

from netdsl.backend.step import SCRATCH, Plan, Slot, start_of
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract import words as w
from netdsl.cpu.contract.blocks import Block, cut_blocks, gather_table, row_pitch, source_words
from netdsl.cpu.contract.geometry import Correlation, Geometry, cut, forward, runs, split
from netdsl.cpu.contract.panels import KernelTable, Panels, panels_for
from netdsl.cpu.contract.step import code, gradient_library, sum_step
from netdsl.cpu.step import Code, Step
from netdsl.schedule import View

# Terms of a unit of work and pixels of a block: both operands of the micro-kernel stay in the first-level cache.
TERMS, PIXELS = 144, 192
# Units that a gradient is cut into at least, where its pixels allow; the same for any number of threads.
UNITS = 8


def plan_gradient(g: Geometry, x: View, y: View, result: View, threads: int) -> Plan[Step]:
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
    block = Block(np.zeros(w.GRADIENT_WORDS, np.int64))
    units, panels = _cut(block, c, g)
    parts = max(1, min(int(block.words[w.ROW_BLOCKS] * block.words[w.COLUMN_BLOCKS]), UNITS // units))
    block.words[[w.G_PARTS, w.W_PART]] = [parts, size]
    block.words[w.G_SPLITS] = _splits(units * parts, panels.count, threads)
    to, scratch = (start_of(SCRATCH), parts * size) if parts > 1 else (result, 0)
    slots = {w.A: Slot(x), w.Y: Slot(y), w.W: Slot(to, written=True)}
    keep = tuple(block.keep)
    driver = Code(gradient_library, "weight_gradient")
    step = Step(g.title("backward_weights"), driver, block.words, slots, scratch, block.links, keep)
    if parts == 1:
        return Plan((step,))
    return Plan((step, sum_step(g, result, parts, size)))


def _cut(block: Block, c: Correlation, g: Geometry) -> tuple[int, Panels]:
    """Cut terms, pixels and columns into pieces; returns the units of work and the panels."""
    source_words(block, c)
    tile = gemm.tile_rows()[2]
    bounds = split(c.depth, TERMS // tile * tile, tile)
    panels = panels_for(bounds[0][1], c.columns)
    found = runs(c)
    gather_table(block, [(cut(found, a, b), a) for a, b in bounds], 4 * g.features)
    pitch = row_pitch(max(b - a for a, b in bounds))
    pixels = max(1, min(PIXELS, w.BUFFER_BYTES // (pitch + 4 * panels.width)))
    lines = max(1, pixels // c.count[2])
    cut_blocks(block, 1, c.source[0] * c.count[0] * c.count[1], c.count[2], lines, pixels)
    words = block.words
    words[[w.PITCH, w.Y_BUFFER]] = [pitch, pixels * pitch]
    words[[w.W_GROUP, w.Y_GROUP, w.Y_COLUMNS]] = [4 * g.f, 4 * g.f, c.columns]
    words[[w.W_ROW, w.Y_PIXEL]] = [4 * g.features, 4 * g.y_pitch]
    words[[w.G_PANELS, w.G_PANEL_VECTORS]] = [panels.count, panels.vectors]
    words[[w.G_LANES, w.G_LAST_TAIL]] = [panels.lanes, panels.tail]
    block.links |= {w.G_KERNELS: KernelTable(panels.vectors), w.G_LAST_KERNELS: KernelTable(panels.ending)}
    words[[w.G_MOST, w.G_LAST_MOST]] = [gemm.tile_rows()[v] for v in (panels.vectors, panels.ending)]
    block.links[w.COPY_PANEL] = code("copy_panel")
    block.point(w.ZEROS, np.zeros(panels.width, np.float32))
    block.point(w.ONE_TAP, np.zeros(1, np.int64))
    return c.groups * len(bounds), panels


def _splits(units: int, panels: int, threads: int) -> int:
    """Shares of the panels that even the work of the threads out; each gathers the pixels again."""

    def time(splits: int) -> float:
        return -(-units * splits // threads) / splits * (1 + 0.05 * (splits - 1))

    return min(range(1, min(panels, 2 * threads) + 1), key=time)
