"""Plans contractions: how one becomes packed weights and calls of the GEMM micro-kernels.

In roles "forward" and "backward_data" a pixel of the result is a row of the GEMM and the sum runs over taps and
channels. The rows are read where they lie when nothing is padded (DIRECT), from a padded copy of a band of rows
(BAND), or from a copy that gathers the terms of each pixel (GATHER, "im2col"), which costs more copying but fills the
tiles when the map is narrow. In role "backward_weights" a row is a (tap, channel) pair and the sum runs over gathered
pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netdsl.backend.step import PACKED, Plan, Slot, start_of
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract import words as w
from netdsl.cpu.contract.blocks import Block, cut_blocks, gather_table, row_pitch, source_words
from netdsl.cpu.contract.depthwise_plan import is_depthwise, plan_depthwise
from netdsl.cpu.contract.geometry import (
    Correlation,
    backward,
    cut,
    forward,
    geometry,
    run_chunks,
    runs,
    split,
)
from netdsl.cpu.contract.gradient import plan_gradient
from netdsl.cpu.contract.panels import KernelTable, Panels, Weights, tile_cycles
from netdsl.cpu.contract.step import bits, code, library
from netdsl.cpu.step import Step
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import NOTHING, Epilogue
from netdsl.schedule import View

__all__ = ["library", "plan_contract"]

# A panel of weights and the rows it meets should stay in the first-level cache for the length of a chunk.
PANEL_BYTES = 16 * 1024
MIN_CHUNK = 256
MAX_PIXELS = 384


def plan_contract(
    op: Contract, operands: Sequence[View], result: View, threads: int, epilogue: Epilogue = NOTHING
) -> Plan[Step]:
    """The steps of a contraction, with an epilogue over the operands after the first two.

    How the work is cut is made for `threads` threads; any number may run it, with the same bits.
    """
    order = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}[op.role]
    views = (*operands[:2], result)
    x, kernel, y = (views[k] for k in order)
    g = geometry(op, x, kernel, y)
    if is_depthwise(g):
        return plan_depthwise(op.role, g, operands, result, epilogue)
    if op.role == "backward_weights":
        return plan_gradient(g, operands[0], operands[1], result, threads)
    found = [forward(g)] if op.role == "forward" else list(backward(g))
    weights = Weights(g, op.role, operands[1])
    steps = [
        _Correlate(c, operands, result, threads, epilogue).step(g.title(op.role), weights.add(c))
        for c in found
        if c.pixels and c.columns
    ]
    return Plan(tuple(steps), weights.steps(), weights.size)


def _chunk_terms(panels: Panels) -> int:
    return max(MIN_CHUNK, PANEL_BYTES // (4 * panels.width))


class _Correlate:
    """Plans one correlation."""

    def __init__(
        self, c: Correlation, operands: Sequence[View], result: View, threads: int, epilogue: Epilogue
    ) -> None:
        self.c, self.threads, self.epilogue = c.flattened(), threads, epilogue
        self.operands, self.result = operands, result
        self.block = Block(np.zeros(w.CORRELATE_WORDS, np.int64))

    def step(self, title: str, weights: tuple[int, Panels]) -> Step:
        """The step; `weights` are where the packed weights are, and their panels."""
        at, self.panels = weights
        source_words(self.block, self.c)
        self._columns()
        self._strides()
        most = _chunk_terms(self.panels)
        if self._gathers():
            blocks = self._gather(most)
        elif self.c.padded:
            blocks = self._band(most)
        else:
            blocks = self._direct(most)
        self.block.words[w.SPLITS] = self._splits(blocks)
        slots = {
            w.A: Slot(self.operands[0]),
            w.B: Slot(start_of(PACKED, at)),
            w.C: Slot(self.result, written=True),
        }
        if self.epilogue.bias is not None:
            slots[w.INIT], self.block.words[w.HAS_BIAS] = Slot(self.operands[self.epilogue.bias]), 1
        else:
            self.block.point(w.INIT, np.zeros(self.panels.width, np.float32))
        if self.epilogue.residual is not None:
            slots[w.RESIDUAL] = Slot(self.operands[self.epilogue.residual])
        block = self.block
        return Step(title, code("correlate"), block.words, slots, links=block.links, keep=tuple(block.keep))

    def _columns(self) -> None:
        p, words = self.panels, self.block.words
        words[[w.PANELS, w.LANES, w.LAST_TAIL]] = [p.count, p.lanes, p.tail]
        words[w.B_PANEL], words[w.B_STEP] = 4 * p.width * self.c.depth, 4 * p.width
        words[w.B_GROUP] = p.count * words[w.B_PANEL]
        words[[w.C_GROUP, w.C_PANEL]] = [4 * self.c.columns, 4 * p.width]
        self.block.links |= {w.KERNELS: KernelTable(p.vectors), w.LAST_KERNELS: KernelTable(p.ending)}
        words[[w.MOST, w.LAST_MOST]] = [gemm.tile_rows()[v] for v in (p.vectors, p.ending)]
        words[[w.LOW, w.HIGH]] = [bits(self.epilogue.low), bits(self.epilogue.high)]

    def _strides(self) -> None:
        c = self.c
        pixel = 4 * c.pitch
        line = pixel * c.size[2]
        plane = line * c.size[1]
        self.block.words[[w.C_IMAGE, w.C_PLANE, w.C_ROW, w.C_PIXEL]] = [
            plane * c.size[0],
            plane * c.stride[0],
            line * c.stride[1],
            pixel * c.stride[2],
        ]
        self.block.words[w.C_ORIGIN] = c.origin[0] * plane + c.origin[1] * line + c.origin[2] * pixel

    def _gathers(self) -> bool:
        """Whether gathering pays, or no band fits: it fills the tiles, but copies each pixel once for each tap."""
        c, v = self.c, self.panels.vectors
        if not c.depth:
            return True
        if c.pointwise and c.source[:3] == (1, 1, 1):
            # Rows that are a multiple of 2 KB apart all fall into the same few sets of the cache.
            return c.width * 4 % 2048 == 0 and c.pixels > 2 and self.panels.count > 1
        if c.padded and self._band_bytes(min(c.count[2], gemm.tile_rows()[v]), 1) > w.BUFFER_BYTES:
            return True
        joined = c.pixels if c.compact else c.count[2]
        many = c.depth * self.panels.count
        lines = tile_cycles(c.count[2], v) / c.count[2] * many * (self._inside() if self._leaves_out() else 1)
        found = runs(c)
        copy = sum(8 + r.length / self.panels.lanes * 1.5 for r in found)
        gathered = tile_cycles(min(joined, MAX_PIXELS), v) / min(joined, MAX_PIXELS) * many + copy
        rows = lines + 10 * len(found) / min(c.count[2], gemm.tile_rows()[v])
        return gathered < rows

    def _leaves_out(self) -> bool:
        """Whether bands leave out the taps above and below the source: where these are first and last in order."""
        return self.c.padded and len(self.c.offsets[0]) == 1

    def _inside(self) -> float:
        """The share of (line, tap row) pairs that are inside of the source."""
        c = self.c
        hits = [0 <= y * c.step[1] + o < c.source[2] for y in range(c.count[1]) for o in c.offsets[1]]
        return sum(hits) / len(hits)

    def _set_rows(self, pitch: int, a_row: int) -> None:
        self.block.words[w.PITCH] = pitch
        self.block.words[w.A_ROW : w.A_ROW + w.A_ROW_WORDS] = gemm.a_rows(a_row)

    def _pixels(self, most: int) -> int:
        """Pixels of a block: few enough that every thread gets several blocks, of whole tiles."""
        tile = gemm.tile_rows()[self.panels.vectors]
        wanted = -(-self.c.pixels // (4 * self.threads))
        return max(1, min(most, max(4 * tile, -(-wanted // tile) * tile)))

    def _gather(self, most: int) -> int:
        c = self.c
        found = runs(c)
        chunks = [(cut(found, a, b), a) for a, b in split(c.depth, most)]
        gather_table(self.block, chunks, 4 * self.panels.width)
        pitch = row_pitch(max(sum(r.length for r in pieces) for pieces, _ in chunks))
        self._set_rows(pitch, pitch)
        self.block.words[w.MODE], self.block.words[w.MERGED] = w.GATHER, int(c.compact)
        pixels = self._pixels(min(MAX_PIXELS, w.BUFFER_BYTES // pitch))
        lines = max(1, pixels // c.count[2])
        planes = 1 if c.compact else c.source[0] * c.count[0]
        rows = c.source[0] * c.count[0] * c.count[1] // planes
        return cut_blocks(self.block, planes, rows, c.count[2], lines, pixels)

    def _taps(
        self, most: int, pitch: int, plane: int, start: int, top: int, depths: tuple[int, ...] | None
    ) -> None:
        """Chunks of taps in rows `pitch` bytes and planes `plane` bytes apart."""
        chunks = run_chunks(runs(self.c), most)
        table = np.zeros((len(chunks), w.CHUNK_WORDS), np.int64)
        for row, pieces in zip(table, chunks, strict=True):
            taps = [
                4 * (r.start - start)
                + (r.height - top) * pitch
                + (r.depth if depths is None else r.plane) * plane
                for r in pieces
            ]
            row[w.CHUNK_TAPS], row[w.CHUNK_TAP_COUNT] = self.block.hold(np.array(taps, np.int64)), len(taps)
            if pieces:
                row[w.CHUNK_TAP_RUN] = pieces[0].length
                row[w.CHUNK_B] = 4 * self.panels.width * pieces[0].first
            if self._leaves_out():
                row[w.CHUNK_HEIGHTS] = self.block.hold(np.array([r.height for r in pieces], np.int64))
        self.block.words[w.CHUNKS] = len(chunks)
        self.block.point(w.CHUNK_TABLE, table)

    def _direct(self, most: int) -> int:
        c = self.c
        pitch = 4 * c.source[3] * c.width
        self._set_rows(pitch, 4 * c.step[2] * c.width)
        self._taps(most, pitch, pitch * c.source[2], 0, 0, None)
        self.block.words[w.MODE] = w.DIRECT
        reach = 4 * c.width * c.step[2]
        pixels = self._pixels(min(MAX_PIXELS, max(48, w.BUFFER_BYTES // max(1, min(reach, 4 * most)))))
        return cut_blocks(
            self.block, c.source[0] * c.count[0], c.count[1], c.count[2], max(1, pixels // c.count[2]), pixels
        )

    def _band(self, most: int) -> int:
        c = self.c
        pixels = self._pixels(MAX_PIXELS)
        width = c.count[2]
        while width > 1 and self._band_bytes(width, 1) > w.BUFFER_BYTES:
            width = -(-width // 2)
        lines = max(1, min(c.count[1], pixels // width))
        while lines > 1 and self._band_bytes(width, lines) > w.BUFFER_BYTES:
            lines -= 1
        pitch, rows = self._band_pitch(width), self._band_lines(lines)
        self._set_rows(pitch, 4 * c.step[2] * c.width)
        top, start = (o[0] if o else 0 for o in c.offsets[1:])
        self._taps(most, pitch, pitch * rows, start * c.width, top, c.offsets[0])
        words = self.block.words
        self.block.point(w.BAND_DEPTHS, np.array(c.offsets[0], np.int64))
        words[[w.BAND_PLANES, w.BAND_PLANE, w.BAND_HEIGHT]] = [
            len(c.offsets[0]),
            pitch * rows,
            self._band_lines(1),
        ]
        words[[w.BAND_TOP, w.BAND_START]] = [top, start * c.width]
        words[w.BAND_SPAN] = (c.offsets[2][-1] - start) * c.width + c.channels * c.groups
        words[w.MODE] = w.BAND
        return cut_blocks(self.block, c.source[0] * c.count[0], c.count[1], c.count[2], lines, width)

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
        wanted = 1 if self.threads == 1 else -(-2 * self.threads // blocks)
        return max(1, min(self.panels.count, wanted)) if blocks < 2 * self.threads else 1
