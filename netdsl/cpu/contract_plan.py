"""Plans contractions: how one becomes packed weights and calls of the GEMM micro-kernels.

In roles "output" and "input" a pixel of the result is a row of the GEMM and the sum runs over taps and channels. The
rows are read where they lie when nothing is padded (DIRECT), from a padded copy of a band of rows (BAND), or from
a copy that gathers the terms of each pixel (GATHER, "im2col"), which costs more copying but fills the tiles when the
map is narrow. In role "kernel" a row is a (tap, channel) pair and the sum runs over gathered pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import contract_words as w
from netdsl.cpu import gemm, host
from netdsl.cpu.contract_geometry import (
    Correlation,
    Geometry,
    Run,
    backward,
    cut,
    forward,
    geometry,
    run_chunks,
    runs,
    split,
)
from netdsl.cpu.contract_step import (
    NOTHING,
    ContractPlan,
    Epilogue,
    bits,
    gradient_library,
    library,
    sum_step,
)
from netdsl.cpu.depthwise_plan import is_depthwise, plan_depthwise
from netdsl.cpu.step import Slot, Step
from netdsl.primitives import Contract

__all__ = ["ContractPlan", "Epilogue", "Geometry", "geometry", "library", "plan_contract"]

Ints = NDArray[np.int64]
# A panel of weights and the rows it meets should stay in the first-level cache for the length of a chunk.
PANEL_BYTES = 16 * 1024
MIN_CHUNK = 256
MAX_PIXELS = 384
GRADIENT_TERMS, GRADIENT_PIXELS = 144, 192
GRADIENT_PARTS = 8


def plan_contract(op: Contract, g: Geometry, epilogue: Epilogue = NOTHING) -> ContractPlan:
    """The steps of a contraction; operands 0 and 1 are those of the primitive, result 0 its result."""
    if is_depthwise(g):
        return plan_depthwise(op.role, g, epilogue)
    if op.role == "kernel":
        return _gradient(g)
    found = [forward(g)] if op.role == "output" else list(backward(g))
    weights = _Weights(g, op.role)
    steps = [
        _Correlate(c, epilogue).step(g.title(op.role), weights.add(c))
        for c in found
        if c.pixels and c.columns
    ]
    return ContractPlan(weights.steps(), tuple(steps), weights.size, 0)


@dataclass
class _Block:
    """An argument block under construction, and the arrays that it points at."""

    words: Ints
    keep: list[NDArray[np.generic]] = field(default_factory=list)

    def point(self, word: int, array: NDArray[np.generic]) -> None:
        """Put the address of an array."""
        self.words[word] = self.hold(array)

    def hold(self, array: NDArray[np.generic]) -> int:
        """Keep an array; returns its address."""
        self.keep.append(array)
        return int(array.ctypes.data)


@dataclass(frozen=True)
class _Panels:
    """Columns cut into `count` panels of `vectors` vectors, the last one narrower."""

    columns: int
    vectors: int
    lanes: int

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return self.vectors * self.lanes

    @property
    def count(self) -> int:
        """How many there are."""
        return -(-self.columns // self.width)

    @property
    def ending(self) -> int:
        """Vectors that the last panel uses."""
        return -(-(self.columns - (self.count - 1) * self.width) // self.lanes)

    @property
    def tail(self) -> int:
        """Columns in the last vector of all."""
        return (self.columns - 1) % self.lanes + 1


def _tile_cycles(rows: int, vectors: int) -> float:
    """Cycles of one term for `rows` rows: two multiply-adds or two loads each, and sums that wait for themselves."""
    most = gemm.tile_rows()[vectors]
    tiles = -(-rows // most)
    tall = -(-rows // tiles)
    short = tiles * tall - rows

    def cycles(height: int) -> float:
        return max(height * vectors / 2, 4.0, (height + vectors) / 2) + 0.1

    return (tiles - short) * cycles(tall) + (short * cycles(tall - 1) if short else 0)


def _panels(rows: int, columns: int) -> _Panels:
    """The panels whose tiles need the fewest cycles."""
    lanes = host.lanes()
    options = [_Panels(columns, v, lanes) for v in gemm.tile_rows() if v <= max(1, -(-columns // lanes))]
    return min(
        options, key=lambda p: (p.count - 1) * _tile_cycles(rows, p.vectors) + _tile_cycles(rows, p.ending)
    )


def _chunk_terms(panels: _Panels) -> int:
    return max(MIN_CHUNK, PANEL_BYTES // (4 * panels.width))


def _tables(block: _Block, vectors: int) -> int:
    """The address of a table of micro-kernels by their height."""
    heights = range(1, gemm.tile_rows()[vectors] + 1)
    table = [0, *(library().address(gemm.kernel_name(h, vectors)) for h in heights)]
    return block.hold(np.array(table, np.int64))


class _Weights:
    """Packs the kernel into panels `[group][panel][term][vectors of lanes]`, one set after another."""

    def __init__(self, g: Geometry, role: str) -> None:
        self.g, self.role, self.size = g, role, 0
        self.units: dict[int, list[tuple[int, ...]]] = {}
        self.keep: list[Ints] = []

    def add(self, c: Correlation) -> tuple[int, _Panels]:
        """Pack the weights for a correlation; returns where they go, and their panels."""
        flat = c.flattened()
        panels = _panels(_line_rows(flat), c.columns)
        at, features = self.size, 4 * self.g.features
        taps = np.array([t * self.g.c * features for t in _kernel_taps(c, self.g)], np.int64)
        self.keep.append(taps)
        panel_bytes = 4 * panels.width * c.depth
        column = 4 if self.role == "output" else features
        for group in range(c.groups):
            for p in range(panels.count):
                columns = min(panels.width, c.columns - p * panels.width)
                source = 4 * self.g.f * group + p * panels.width * column
                unit = (self.size, source, taps.ctypes.data, len(taps), c.channels, columns)
                self.units.setdefault(panels.vectors, []).append(unit)
                self.size += panel_bytes
        return at, panels

    def steps(self) -> tuple[Step, ...]:
        """A step for each width of panels."""
        return tuple(self._step(vectors, units) for vectors, units in self.units.items())

    def _step(self, vectors: int, units: list[tuple[int, ...]]) -> Step:
        block = _Block(np.zeros(w.PACK_WORDS, np.int64))
        block.words[w.P_UNITS], block.words[w.P_VECTORS] = len(units), vectors
        block.words[w.P_ROW] = 4 * vectors * host.lanes()
        block.point(w.P_TABLE, np.array(units, np.int64))
        kernel = "copy_panel" if self.role == "output" else "copy_panel_transposed"
        block.words[w.P_COPY] = library().address(kernel)
        block.words[w.P_STEP] = 4 * self.g.features
        slots = {w.P_FROM: Slot("operand", 1), w.P_TO: Slot("packed")}
        title = self.g.title(self.role).replace("contract", "pack")
        return Step(title, library().address("pack"), block.words, slots, keep=(*block.keep, *self.keep))


def _kernel_taps(c: Correlation, g: Geometry) -> list[int]:
    """The numbers of the taps of a correlation in the kernel, in the order of its terms."""
    return [(z * g.k[1] + y) * g.k[2] + x for z in c.taps[0] for y in c.taps[1] for x in c.taps[2]]


def _line_rows(c: Correlation) -> int:
    """Rows of the GEMM that follow each other: all pixels, or those of one line where lines cannot be joined."""
    return c.pixels if c.compact else c.count[2]


def _source_words(block: _Block, c: Correlation) -> None:
    """Fill in the words about the source."""
    words = block.words
    _, depth, height, width = c.source
    words[[w.DEPTH, w.HEIGHT, w.ROW_FLOATS]] = [depth, height, width * c.width]
    words[[w.STEP_DEPTH, w.STEP_HEIGHT, w.STEP_FLOATS]] = [c.step[0], c.step[1], c.step[2] * c.width]
    words[[w.COUNT_DEPTH, w.COUNT_HEIGHT, w.COUNT_WIDTH]] = c.count
    words[[w.A_GROUP, w.GROUPS]] = [c.channels, c.groups]
    words[w.COPY_RUNS] = library().address("copy_runs")


def _blocks(block: _Block, planes: int, rows: int, width: int, lines: int, pixels: int) -> int:
    """Cut `planes` of `rows` lines of `width` pixels into blocks; returns how many there are."""
    lines, pixels = min(lines, rows), min(pixels, width)
    words = block.words
    words[[w.PLANES, w.ROWS, w.BLOCK_ROWS, w.BLOCK_WIDTH]] = [planes, rows, lines, pixels]
    words[[w.ROW_BLOCKS, w.COLUMN_BLOCKS]] = [-(-rows // lines), -(-width // pixels)]
    return planes * -(-rows // lines) * -(-width // pixels)


def _gather_table(block: _Block, chunks: list[tuple[list[Run], int]], b_step: int) -> None:
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


def _pitch(floats: int) -> int:
    """Bytes from one copied row to the next.

    There is room for one vector more, which copies of runs may write, and the cache lines are odd in number, so that
    rows spread over the cache.
    """
    return 64 * (-(-(floats + host.lanes()) // 16) | 1)


class _Correlate:
    """Plans one correlation."""

    def __init__(self, c: Correlation, epilogue: Epilogue) -> None:
        self.c, self.epilogue = c.flattened(), epilogue
        self.block = _Block(np.zeros(w.CORRELATE_WORDS, np.int64))

    def step(self, title: str, weights: tuple[int, _Panels]) -> Step:
        """The step; `weights` are where the packed weights are, and their panels."""
        at, self.panels = weights
        _source_words(self.block, self.c)
        self._columns()
        self._result()
        most = _chunk_terms(self.panels)
        if self._gathers():
            blocks = self._gather(most)
        elif self.c.padded:
            blocks = self._band(most)
        else:
            blocks = self._direct(most)
        self.block.words[w.SPLITS] = self._splits(blocks)
        slots = {w.A: Slot("operand", 0), w.B: Slot("packed", 0, at), w.C: Slot("result", 0)}
        if self.epilogue.bias is not None:
            slots[w.INIT], self.block.words[w.HAS_BIAS] = Slot("operand", self.epilogue.bias), 1
        else:
            self.block.point(w.INIT, np.zeros(self.panels.width, np.float32))
        if self.epilogue.residual is not None:
            slots[w.RESIDUAL] = Slot("operand", self.epilogue.residual)
        return Step(
            title, library().address("correlate"), self.block.words, slots, keep=tuple(self.block.keep)
        )

    def _columns(self) -> None:
        p, words = self.panels, self.block.words
        words[[w.PANELS, w.LANES, w.LAST_TAIL]] = [p.count, p.tail if p.count == 0 else p.lanes, p.tail]
        words[w.B_PANEL], words[w.B_STEP] = 4 * p.width * self.c.depth, 4 * p.width
        words[w.B_GROUP] = p.count * words[w.B_PANEL]
        words[[w.C_GROUP, w.C_PANEL]] = [4 * self.c.columns, 4 * p.width]
        words[w.KERNELS], words[w.MOST] = _tables(self.block, p.vectors), gemm.tile_rows()[p.vectors]
        words[w.LAST_KERNELS], words[w.LAST_MOST] = _tables(self.block, p.ending), gemm.tile_rows()[p.ending]
        words[[w.LOW, w.HIGH]] = [bits(self.epilogue.low), bits(self.epilogue.high)]

    def _result(self) -> None:
        c = self.c
        pixel = 4 * c.columns * c.groups
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
        """Whether gathering pays: it fills the tiles, but copies each pixel once for each tap."""
        c, v = self.c, self.panels.vectors
        if not c.depth:
            return True
        if c.source[:3] == (1, 1, 1):
            # Rows that are a multiple of 2 KB apart all fall into the same few sets of the cache.
            return c.width * 4 % 2048 == 0 and c.pixels > 2 and self.panels.count > 1
        joined = c.pixels if c.compact else c.count[2]
        many = c.depth * self.panels.count / v * 2
        lines = _tile_cycles(c.count[2], v) / c.count[2] * many
        found = runs(c)
        copy = sum(8 + r.length / self.panels.lanes * 1.5 for r in found)
        gathered = _tile_cycles(min(joined, MAX_PIXELS), v) / min(joined, MAX_PIXELS) * many + copy
        rows = lines + 10 * len(found) / min(c.count[2], gemm.tile_rows()[v])
        return gathered < rows or (c.padded and self._band_rows(c.count[2], 1) > w.BUFFER_BYTES)

    def _set_rows(self, pitch: int, a_row: int) -> None:
        self.block.words[w.PITCH] = pitch
        self.block.words[w.A_ROW : w.A_ROW + w.A_ROW_WORDS] = gemm.a_rows(a_row)

    def _pixels(self, most: int) -> int:
        """Pixels of a block: few enough that every thread gets several blocks, of whole tiles."""
        tile = gemm.tile_rows()[self.panels.vectors]
        wanted = -(-self.c.pixels // (4 * host.threads()))
        return max(1, min(most, max(4 * tile, -(-wanted // tile) * tile)))

    def _gather(self, most: int) -> int:
        c = self.c
        found = runs(c)
        chunks = [(cut(found, a, b), a) for a, b in split(c.depth, most)]
        _gather_table(self.block, chunks, 4 * self.panels.width)
        pitch = _pitch(max(sum(r.length for r in pieces) for pieces, _ in chunks))
        self._set_rows(pitch, pitch)
        self.block.words[w.MODE], self.block.words[w.MERGED] = w.GATHER, int(c.compact)
        pixels = self._pixels(min(MAX_PIXELS, w.BUFFER_BYTES // pitch))
        lines = max(1, pixels // c.count[2])
        planes = 1 if c.compact else c.source[0] * c.count[0]
        rows = c.source[0] * c.count[0] * c.count[1] // planes
        return _blocks(self.block, planes, rows, c.count[2], lines, pixels)

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
        return _blocks(
            self.block, c.source[0] * c.count[0], c.count[1], c.count[2], max(1, pixels // c.count[2]), pixels
        )

    def _band(self, most: int) -> int:
        c = self.c
        pixels = self._pixels(MAX_PIXELS)
        width = c.count[2]
        while width > 1 and self._band_rows(width, 1) > w.BUFFER_BYTES:
            width = -(-width // 2)
        lines = max(1, min(c.count[1], pixels // width))
        while lines > 1 and self._band_rows(width, lines) > w.BUFFER_BYTES:
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
        words[w.BAND_SPAN] = (c.offsets[2][-1] - start + 1) * c.width
        words[w.MODE] = w.BAND
        return _blocks(self.block, c.source[0] * c.count[0], c.count[1], c.count[2], lines, width)

    def _band_pitch(self, width: int) -> int:
        offsets = self.c.offsets[2]
        return _pitch(((width - 1) * self.c.step[2] + offsets[-1] - offsets[0] + 1) * self.c.width)

    def _band_lines(self, lines: int) -> int:
        offsets = self.c.offsets[1]
        return (lines - 1) * self.c.step[1] + offsets[-1] - offsets[0] + 1

    def _band_rows(self, width: int, lines: int) -> int:
        """Bytes of a band."""
        return len(self.c.offsets[0]) * self._band_lines(lines) * self._band_pitch(width)

    def _splits(self, blocks: int) -> int:
        """Shares of the panels, where there are fewer blocks of pixels than threads can use."""
        wanted = 1 if host.threads() == 1 else -(-2 * host.threads() // blocks)
        return max(1, min(self.panels.count, wanted)) if blocks < 2 * host.threads() else 1


def _gradient(g: Geometry) -> ContractPlan:
    """Role "kernel": sums over pixels for every (tap, channel) and column."""
    c = forward(g).flattened()
    bytes_w = 4 * c.depth * g.features
    if not bytes_w:
        return ContractPlan((), (), 0, 0)
    if not c.pixels:
        return ContractPlan((), (sum_step(g, Slot("result"), 0, bytes_w),), 0, 0)
    block = _Block(np.zeros(w.GRADIENT_WORDS, np.int64))
    _source_words(block, c)
    tile = gemm.tile_rows()[2]
    bounds = split(c.depth, GRADIENT_TERMS // tile * tile, tile)
    panels = _panels(min(c.depth, bounds[0][1]), c.columns)
    found = runs(c)
    _gather_table(block, [(cut(found, a, b), a) for a, b in bounds], 4 * g.features)
    pitch = _pitch(max(b - a for a, b in bounds))
    pixels = max(1, min(GRADIENT_PIXELS, w.BUFFER_BYTES // (pitch + 4 * panels.width), c.pixels))
    rows = c.source[0] * c.count[0] * c.count[1]
    blocks = _blocks(block, 1, rows, c.count[2], max(1, pixels // c.count[2]), pixels)
    units = c.groups * len(bounds)
    parts = max(1, min(blocks, GRADIENT_PARTS // units))
    words = block.words
    words[w.PITCH], words[w.Y_BUFFER] = pitch, pixels * pitch
    words[[w.W_PART, w.W_GROUP, w.Y_GROUP]] = [bytes_w, 4 * g.f, 4 * g.f]
    words[[w.Y_PIXEL, w.Y_COLUMNS, w.G_PARTS]] = [4 * g.features, c.columns, parts]
    words[w.G_SPLITS] = _gradient_splits(units * parts, panels.count)
    words[[w.G_PANELS, w.G_PANEL_VECTORS, w.G_LANES, w.G_LAST_TAIL]] = [
        panels.count,
        panels.vectors,
        panels.lanes,
        panels.tail,
    ]
    words[w.G_KERNELS], words[w.G_MOST] = _tables(block, panels.vectors), gemm.tile_rows()[panels.vectors]
    words[w.G_LAST_KERNELS], words[w.G_LAST_MOST] = (
        _tables(block, panels.ending),
        gemm.tile_rows()[panels.ending],
    )
    words[w.COPY_PANEL] = library().address("copy_panel")
    block.point(w.ZEROS, np.zeros(panels.width, np.float32))
    block.point(w.ONE_TAP, np.zeros(1, np.int64))
    result = Slot("scratch") if parts > 1 else Slot("result")
    slots = {w.A: Slot("operand", 0), w.Y: Slot("operand", 1), w.W: result}
    step = Step(
        g.title("kernel"), gradient_library().address("weight_gradient"), words, slots, keep=tuple(block.keep)
    )
    if parts == 1:
        return ContractPlan((), (step,), 0, 0)
    return ContractPlan((), (step, sum_step(g, Slot("scratch"), parts, bytes_w)), 0, parts * bytes_w)


def _gradient_splits(units: int, panels: int) -> int:
    """Shares of the panels that even the work of the threads out; each gathers the pixels again."""
    threads = host.threads()

    def time(splits: int) -> float:
        return -(-units * splits // threads) / splits * (1 + 0.05 * (splits - 1))

    return min(range(1, min(panels, 2 * threads) + 1), key=time)
