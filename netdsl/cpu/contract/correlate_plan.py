"""Plans contractions as correlations: how one becomes packed weights and calls of the GEMM micro-kernels.

A pixel of the result is a row of the GEMM and the sum runs over taps and channels. The rows are read where they lie
when nothing is padded (DIRECT), from a padded copy of a band of rows (BAND), or from a copy that gathers the terms of
each pixel (GATHER, "im2col"), which costs more copying but fills the tiles when the map is narrow."""

from __future__ import annotations

import numpy as np

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import PACKED, Plan, Slot, start_of
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract.arguments import BAND, BUFFER_BYTES, DIRECT, GATHER, Chunk, Correlate
from netdsl.cpu.contract.blocks import cut_blocks, fill_gathers, fill_panels, fill_source, row_pitch
from netdsl.cpu.contract.costs import weight_cycles
from netdsl.cpu.contract.depthwise_plan import is_depthwise
from netdsl.cpu.contract.geometry import Correlation, cut, run_chunks, runs, split
from netdsl.cpu.contract.panels import Panels, Weights, line_rows, panels_for, tile_cycles
from netdsl.cpu.contract.problem import Problem
from netdsl.cpu.contract.step import code
from netdsl.cpu.step import Step

# A panel of weights and the rows it meets should stay in the first-level cache for the length of a chunk.
PANEL_BYTES = 16 * 1024
MIN_CHUNK = 256
MAX_PIXELS = 384


class Correlations:
    """Roles "forward" and "backward_data" as correlations, each a GEMM."""

    def applies(self, problem: Problem) -> bool:
        """Whether something is summed over channels."""
        return problem.role != "backward_weights" and not is_depthwise(problem.geometry)

    def cost(self, problem: Problem) -> float:
        """Cycles of one thread."""
        return sum(_Correlate(c, problem).cycles() for c in problem.correlations)

    def plan(self, problem: Problem) -> Plan[Step]:
        """One step for each correlation."""
        weights = Weights(problem.geometry, problem.role, problem.operands[1])
        title = problem.geometry.title(problem.role)
        steps = [_Correlate(c, problem).step(title, weights) for c in problem.correlations]
        return Plan(tuple(steps), weights.steps(), weights.size)


def _chunk_terms(panels: Panels) -> int:
    return max(MIN_CHUNK, PANEL_BYTES // (4 * panels.width))


class _Correlate:
    """Plans one correlation."""

    def __init__(self, c: Correlation, problem: Problem) -> None:
        self.correlation, self.c = c, c.flattened()
        self.threads, self.epilogue = problem.options.threads, problem.epilogue
        self.operands, self.result = problem.operands, problem.result
        self.panels = panels_for(line_rows(self.c), self.c.columns)
        self.block = Arguments(Correlate)

    def step(self, title: str, weights: Weights) -> Step:
        """The step, whose weights are added to those that are packed."""
        at = weights.add(self.correlation, self.panels)
        fill_source(self.block, self.c)
        self._columns(at)
        self._result()
        most = _chunk_terms(self.panels)
        if self._gathers():
            blocks = self._gather(most)
        elif self.c.padded:
            blocks = self._band(most)
        else:
            blocks = self._direct(most)
        splits = self._splits(blocks)
        self.block.fill(splits=splits)
        return Step(title, code("correlate"), self.block, units=blocks * splits)

    def _columns(self, at: int) -> None:
        p, block = self.panels, self.block
        fill_panels(block, p)
        panel = 4 * p.width * self.c.depth
        block.fill(a=Slot(self.operands[0]), b=Slot(start_of(PACKED, at)))
        block.fill(b_step=4 * p.width, b_panel=panel, b_group=p.count * panel)
        block.fill(c_group=4 * self.c.columns, c_panel=4 * p.width)

    def _result(self) -> None:
        c, block, epilogue = self.c, self.block, self.epilogue
        pixel = 4 * c.pitch
        line = pixel * c.size[2]
        plane = line * c.size[1]
        block.fill(c=Slot(self.result, written=True), c_image=plane * c.size[0], c_plane=plane * c.stride[0])
        block.fill(c_row=line * c.stride[1], c_pixel=pixel * c.stride[2])
        block.fill(c_origin=c.origin[0] * plane + c.origin[1] * line + c.origin[2] * pixel)
        block.fill(low=epilogue.low, high=epilogue.high, has_bias=epilogue.bias is not None)
        if epilogue.bias is not None:
            block.fill(init=Slot(self.operands[epilogue.bias]))
        else:
            block.fill(init=np.zeros(self.panels.width, np.float32))
        if epilogue.residual is not None:
            block.fill(residual=Slot(self.operands[epilogue.residual]))

    def _gathers(self) -> bool:
        """Whether gathering pays, or no band fits: it fills the tiles, but copies each pixel once for each tap."""
        c, v = self.c, self.panels.vectors
        if not c.depth:
            return True
        if c.pointwise and c.source[:3] == (1, 1, 1):
            # Rows that are a multiple of 2 KB apart all fall into the same few sets of the cache.
            return c.width * 4 % 2048 == 0 and c.pixels > 2 and self.panels.count > 1
        if c.padded and self._band_bytes(min(c.count[2], gemm.tile_rows()[v]), 1) > BUFFER_BYTES:
            return True
        rows, gathered = self._pixel_cycles()
        return gathered < rows

    def cycles(self) -> float:
        """Cycles of one thread."""
        c = self.c
        if not c.depth:
            return 0.0
        weights = 4 * c.groups * c.depth * c.columns
        return c.groups * c.pixels * min(self._pixel_cycles()) + weight_cycles(
            weights, -(-c.pixels // MAX_PIXELS)
        )

    def _pixel_cycles(self) -> tuple[float, float]:
        """Cycles of a pixel and a group: of rows that are read where they lie, or in a band; and of gathered ones."""
        c, v = self.c, self.panels.vectors
        joined = c.pixels if c.compact else c.count[2]
        many = c.depth * self.panels.count
        lines = tile_cycles(c.count[2], v) / c.count[2] * many * (self._inside() if self._leaves_out() else 1)
        found = runs(c)
        copy = sum(8 + r.length / self.panels.lanes * 1.5 for r in found)
        gathered = tile_cycles(min(joined, MAX_PIXELS), v) / min(joined, MAX_PIXELS) * many + copy
        return lines + 10 * len(found) / min(c.count[2], gemm.tile_rows()[v]), gathered

    def _leaves_out(self) -> bool:
        """Whether bands leave out the taps above and below the source: where these are first and last in order."""
        return self.c.padded and len(self.c.offsets[0]) == 1

    def _inside(self) -> float:
        """The share of (line, tap row) pairs that are inside of the source."""
        c = self.c
        hits = [0 <= y * c.step[1] + o < c.source[2] for y in range(c.count[1]) for o in c.offsets[1]]
        return sum(hits) / len(hits)

    def _set_rows(self, mode: int, pitch: int, a_row: int) -> None:
        self.block.fill(mode=mode, pitch=pitch, a_row=gemm.a_rows(a_row))

    def _pixels(self, most: int) -> int:
        """Pixels of a block: few enough that every thread gets several blocks, of whole tiles."""
        tile = gemm.tile_rows()[self.panels.vectors]
        wanted = -(-self.c.pixels // (4 * self.threads))
        return max(1, min(most, max(4 * tile, -(-wanted // tile) * tile)))

    def _panels_divide(self) -> bool:
        """Whether the threads divide the panels, not the pixels: each block of pixels reads all weights again."""
        c = self.c
        return c.pixels < c.columns and self.panels.count >= 4 * self.threads

    def _gather(self, most: int) -> int:
        c = self.c
        found = runs(c)
        chunks = [(cut(found, a, b), a) for a, b in split(c.depth, most)]
        fill_gathers(self.block, chunks, 4 * self.panels.width)
        pitch = row_pitch(max(sum(r.length for r in pieces) for pieces, _ in chunks))
        self._set_rows(GATHER, pitch, pitch)
        self.block.fill(merged=c.compact)
        pixels = self._pixels(min(MAX_PIXELS, BUFFER_BYTES // pitch))
        lines = max(1, pixels // c.count[2])
        planes = 1 if c.compact else c.source[0] * c.count[0]
        return self._cut(planes, c.source[0] * c.count[0] * c.count[1] // planes, lines, pixels)

    def _cut(self, planes: int, rows: int, lines: int, pixels: int) -> int:
        return planes * cut_blocks(self.block, planes, rows, self.c.count[2], lines, pixels)

    def _taps(
        self, most: int, pitch: int, plane: int, start: int, top: int, depths: tuple[int, ...] | None
    ) -> None:
        """Chunks of taps in rows `pitch` bytes and planes `plane` bytes apart."""
        chunks = []
        for pieces in run_chunks(runs(self.c), most):
            taps = [
                4 * (r.start - start)
                + (r.height - top) * pitch
                + (r.depth if depths is None else r.plane) * plane
                for r in pieces
            ]
            chunk = Arguments(Chunk, taps=taps, tap_count=len(taps))
            if pieces:
                chunk.fill(tap_run=pieces[0].length, b=4 * self.panels.width * pieces[0].first)
            if self._leaves_out():
                chunk.fill(heights=[r.height for r in pieces])
            chunks.append(chunk)
        self.block.fill(chunks=chunks, chunk_count=len(chunks))

    def _direct(self, most: int) -> int:
        c = self.c
        pitch = 4 * c.source[3] * c.width
        self._set_rows(DIRECT, pitch, 4 * c.step[2] * c.width)
        self._taps(most, pitch, pitch * c.source[2], 0, 0, None)
        reach = 4 * c.width * c.step[2]
        most_pixels = min(MAX_PIXELS, max(48, BUFFER_BYTES // max(1, min(reach, 4 * most))))
        pixels = most_pixels if self._panels_divide() else self._pixels(most_pixels)
        return self._cut(c.source[0] * c.count[0], c.count[1], max(1, pixels // c.count[2]), pixels)

    def _band(self, most: int) -> int:
        c = self.c
        pixels = self._pixels(MAX_PIXELS)
        width = c.count[2]
        while width > 1 and self._band_bytes(width, 1) > BUFFER_BYTES:
            width = -(-width // 2)
        lines = max(1, min(c.count[1], pixels // width))
        while lines > 1 and self._band_bytes(width, lines) > BUFFER_BYTES:
            lines -= 1
        pitch, rows = self._band_pitch(width), self._band_lines(lines)
        self._set_rows(BAND, pitch, 4 * c.step[2] * c.width)
        top, start = (o[0] if o else 0 for o in c.offsets[1:])
        self._taps(most, pitch, pitch * rows, start * c.width, top, c.offsets[0])
        self.block.fill(
            band_depths=c.offsets[0],
            band_planes=len(c.offsets[0]),
            band_plane=pitch * rows,
            band_height=self._band_lines(1),
            band_top=top,
            band_start=start * c.width,
            band_span=(c.offsets[2][-1] - start) * c.width + c.channels * c.groups,
        )
        return self._cut(c.source[0] * c.count[0], c.count[1], lines, width)

    def _band_pitch(self, width: int) -> int:
        offsets = self.c.offsets[2]
        return row_pitch(((width - 1) * self.c.step[2] + offsets[-1] - offsets[0] + 1) * self.c.width)

    def _band_lines(self, lines: int) -> int:
        offsets = self.c.offsets[1]
        return (lines - 1) * self.c.step[1] + offsets[-1] - offsets[0] + 1

    def _band_bytes(self, width: int, lines: int) -> int:
        """Bytes of the copy that `lines` lines of `width` pixels are read from."""
        return len(self.c.offsets[0]) * self._band_lines(lines) * self._band_pitch(width)

    def _splits(self, blocks: int) -> int:
        """Shares of the panels, where there are fewer blocks of pixels than threads can use."""
        wanted = 1 if self.threads == 1 else -(-4 * self.threads // blocks)
        return max(1, min(self.panels.count, wanted)) if blocks < 2 * self.threads else 1
