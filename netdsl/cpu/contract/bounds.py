"""What the drivers of contractions touch: rules that follow `contract.drivers` and `depthwise_drivers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.cpu.bounds import Claims, Rule
from netdsl.cpu.contract import depthwise_words as d
from netdsl.cpu.contract import words as w
from netdsl.cpu.contract.gemm import tile_rows
from netdsl.cpu.contract.panels import KernelTable
from netdsl.cpu.step import Code


@dataclass(frozen=True)
class _Blocks:
    """How the pixels of a correlation are cut: images, planes, lines and pixels of each."""

    images: int
    depth: int
    height: int
    width: int
    block_rows: int
    block_width: int

    @property
    def pixels(self) -> int:
        """Pixels of the largest block."""
        return self.block_rows * self.block_width


def _blocks(c: Claims) -> _Blocks:
    depth, height, width = c.many(w.COUNT_DEPTH, 3)
    planes, rows, block_rows, block_width = c.many(w.PLANES, 4)
    c.positive(depth=depth, height=height, width=width, planes=planes, rows=rows)
    c.positive(block_rows=block_rows, block_width=block_width)
    c.need(c[w.ROW_BLOCKS] == -(-rows // block_rows), "blocks of rows leave some out, or are empty")
    c.need(c[w.COLUMN_BLOCKS] == -(-width // block_width), "blocks of columns leave some out, or are empty")
    images, rest = divmod(planes * rows, depth * height)
    c.need(rest == 0, "its lines are no whole images")
    c.need(block_rows == 1 or block_width == width or rows == height, "blocks cross the ends of lines")
    return _Blocks(images, depth, height, width, min(block_rows, rows), min(block_width, width))


def _copied_source(c: Claims, blocks: _Blocks) -> None:
    """Copies read lines of the source, with what lies in gaps between its pixels."""
    end = 4 * c[w.ROW_END]
    c.reads(w.A, end, 0, [(blocks.images * c[w.DEPTH] * c[w.HEIGHT], 4 * c[w.ROW_FLOATS])], gaps=True)


def _gathered(c: Claims, chunk: list[int], pixels: int, lanes: int) -> int:
    """The bytes of the buffer that gathering a chunk for so many pixels writes, whole vectors at a time."""
    found = c.table(chunk[w.CHUNK_RUNS], chunk[w.CHUNK_RUN_COUNT], w.RUN_WORDS)
    ends = [run[w.RUN_TO] + 4 * -(-run[w.RUN_LENGTH] // lanes) * lanes for run in found]
    to = 0
    for run in found:
        c.need(run[w.RUN_TO] == to and run[w.RUN_LENGTH] > 0, "gathered terms do not follow each other")
        to += 4 * run[w.RUN_LENGTH]
    c.need(to == 4 * chunk[w.CHUNK_TAP_RUN], "terms are read that are not gathered")
    return (pixels - 1) * c[w.PITCH] + max(ends, default=0)


@dataclass(frozen=True)
class _Columns:
    """Panels of a group: how many, vectors of all but the last and of the last, columns of its last vector."""

    count: int
    vectors: int
    ending: int
    lanes: int
    tail: int

    def ends(self, panel: int) -> list[tuple[int, int, int]]:
        """The last two panels: where each begins (`panel` bytes apart), bytes it stores, bytes of whole vectors."""
        last = 4 * ((self.ending - 1) * self.lanes + self.tail)
        found = [((self.count - 1) * panel, last, 4 * self.ending * self.lanes)]
        if self.count > 1:
            whole = 4 * self.vectors * self.lanes
            found.append(((self.count - 2) * panel, whole, whole))
        return found

    def stored(self, panel: int) -> int:
        """The end of the columns that are stored, panels `panel` bytes apart."""
        return max(start + size for start, size, _ in self.ends(panel))

    def read(self, panel: int) -> int:
        """The end of the vectors of weights, panels `panel` bytes apart."""
        return max(start + size for start, _, size in self.ends(panel))


def _columns(c: Claims, count: int, kernels: int, last: int, lanes: int, tail: int) -> _Columns:
    """The panels; `kernels` and `last` are words with tables of micro-kernels, each before its tallest tile."""
    tables = []
    for word in (kernels, last):
        table = c.step.links.get(word)
        c.need(isinstance(table, KernelTable), "a table of micro-kernels is missing")
        assert isinstance(table, KernelTable)
        c.need(1 <= c[word + 1] <= tile_rows()[table.vectors], f"there is no tile of {c[word + 1]} rows")
        tables.append(table.vectors)
    c.positive(panels=count)
    c.need(1 <= tail <= lanes, f"{tail} columns in the last of vectors of {lanes}")
    return _Columns(count, tables[0], tables[1], lanes, tail)


def _tile_rows(c: Claims, row: int) -> None:
    """The words that hold odd multiples of the distance of rows."""
    wanted = [row * odd for odd in range(1, 2 * w.A_ROW_WORDS, 2)]
    c.need(c.many(w.A_ROW, w.A_ROW_WORDS) == wanted, "distances of rows are not multiples of the first")


def _correlate(c: Claims) -> None:
    blocks, groups = _blocks(c), c[w.GROUPS]
    c.positive(groups=groups, splits=c[w.SPLITS], chunks=c[w.CHUNKS])
    columns = _columns(c, c[w.PANELS], w.KERNELS, w.LAST_KERNELS, c[w.LANES], c[w.LAST_TAIL])
    chunks = c.table(c[w.CHUNK_TABLE], c[w.CHUNKS], w.CHUNK_WORDS)
    _result(c, blocks, columns)
    _weights(c, chunks, columns)
    {w.DIRECT: _direct, w.BAND: _band, w.GATHER: _gather}[c[w.MODE]](c, blocks, chunks)


def _result(c: Claims, blocks: _Blocks, columns: _Columns) -> None:
    origin, image, plane, line, pixel = c.many(w.C_ORIGIN, 5)
    c.need(min(origin, image, plane, line, pixel) >= 0, "a stride of the result is negative")
    if c[w.MERGED] or c[w.ROWS] != blocks.height:
        joined = (blocks.width * pixel, blocks.height * line, blocks.depth * plane)
        c.need((line, plane, image) == joined, "pixels are joined that do not follow each other")
    sizes = (blocks.images, blocks.depth, blocks.height, blocks.width)
    over = [*zip(sizes, (image, plane, line, pixel), strict=True), (c[w.GROUPS], c[w.C_GROUP])]
    stored = columns.stored(c[w.C_PANEL])
    c.writes(w.C, origin + stored, origin, over)
    if w.RESIDUAL in c.step.slots:
        c.reads(w.RESIDUAL, origin + stored, origin, over)
    if c[w.HAS_BIAS]:
        c.reads(w.INIT, stored, 0, over[-1:])
    else:
        c.floats(c[w.INIT], columns.lanes * max(columns.vectors, columns.ending))


def _weights(c: Claims, chunks: list[list[int]], columns: _Columns) -> None:
    start = (c[w.GROUPS] - 1) * c[w.B_GROUP] + columns.read(c[w.B_PANEL])
    for chunk in chunks:
        terms = chunk[w.CHUNK_TAP_COUNT] * chunk[w.CHUNK_TAP_RUN]
        if terms:
            c.reads(w.B, start + chunk[w.CHUNK_B] + (terms - 1) * c[w.B_STEP], chunk[w.CHUNK_B])


def _taps(c: Claims, chunk: list[int]) -> tuple[int, int]:
    """The lowest and one past the highest byte of the terms of a chunk, for one pixel."""
    taps = c.table(chunk[w.CHUNK_TAPS], chunk[w.CHUNK_TAP_COUNT])
    if chunk[w.CHUNK_HEIGHTS]:
        c.table(chunk[w.CHUNK_HEIGHTS], len(taps))
    return min(taps, default=0), max(taps, default=0) + 4 * chunk[w.CHUNK_TAP_RUN]


def _direct(c: Claims, blocks: _Blocks, chunks: list[list[int]]) -> None:
    """Rows that are read where they lie."""
    row, step = 4 * c[w.ROW_FLOATS], 4 * c[w.STEP_FLOATS]
    c.need(c[w.PITCH] == row, "lines are not those of the source")
    _tile_rows(c, step)
    plane = row * c[w.HEIGHT]
    over = [
        (blocks.images, c[w.DEPTH] * plane),
        (blocks.depth, c[w.STEP_DEPTH] * plane),
        (blocks.height, c[w.STEP_HEIGHT] * row),
        (blocks.width, step),
        (c[w.GROUPS], 4 * c[w.A_GROUP]),
    ]
    for chunk in chunks:
        c.need(not chunk[w.CHUNK_HEIGHTS], "taps are left out of lines that have no padding")
        for tap in c.table(chunk[w.CHUNK_TAPS], chunk[w.CHUNK_TAP_COUNT]):
            c.reads(w.A, tap + 4 * chunk[w.CHUNK_TAP_RUN], tap, over)


def _band(c: Claims, blocks: _Blocks, chunks: list[list[int]]) -> None:
    """Rows that are read from a padded copy."""
    lanes, pitch, step = c[w.LANES], c[w.PITCH], c[w.STEP_FLOATS]
    planes, lines = c[w.BAND_PLANES], (blocks.block_rows - 1) * c[w.STEP_HEIGHT] + c[w.BAND_HEIGHT]
    length = (blocks.block_width - 1) * step + c[w.BAND_SPAN]
    c.table(c[w.BAND_DEPTHS], planes)
    copied = (planes - 1) * c[w.BAND_PLANE] + (lines - 1) * pitch
    c.workspace(copied + 4 * -(-length // lanes) * lanes)
    _copied_source(c, blocks)
    c.need(c[w.ROWS] == blocks.height, "a band goes over several planes")
    _tile_rows(c, 4 * step)
    last = (blocks.block_rows - 1) * c[w.STEP_HEIGHT] * pitch + 4 * (blocks.block_width - 1) * step
    last += 4 * (c[w.GROUPS] - 1) * c[w.A_GROUP]
    for chunk in chunks:
        first, end = _taps(c, chunk)
        if chunk[w.CHUNK_TAP_COUNT]:
            c.need(first >= 0 and last + end <= copied + 4 * length, "rows are read that are not copied")


def _gather(c: Claims, blocks: _Blocks, chunks: list[list[int]]) -> None:
    """Rows that are gathered, pixel by pixel."""
    _copied_source(c, blocks)
    _tile_rows(c, c[w.PITCH])
    for chunk in chunks:
        c.workspace(_gathered(c, chunk, blocks.pixels, c[w.LANES]))
        c.need(chunk[w.CHUNK_TAP_COUNT] <= 1, "gathered terms have several taps")
        first, end = _taps(c, chunk)
        c.need(first == 0 and end <= c[w.PITCH], "a gathered row is longer than its place")


def _weight_gradient(c: Claims) -> None:
    blocks, groups, lanes = _blocks(c), c[w.GROUPS], c[w.G_LANES]
    c.positive(groups=groups, splits=c[w.G_SPLITS], parts=c[w.G_PARTS], chunks=c[w.CHUNKS])
    c.need(c[w.PLANES] == 1, "its pixels are not joined")
    columns = _columns(c, c[w.G_PANELS], w.G_KERNELS, w.G_LAST_KERNELS, lanes, c[w.G_LAST_TAIL])
    width = c[w.G_PANEL_VECTORS] * lanes
    c.need(max(columns.vectors, columns.ending) <= c[w.G_PANEL_VECTORS], "tiles are wider than panels")
    c.need((columns.count - 1) * width < c[w.Y_COLUMNS] <= columns.count * width, "panels miss some columns")
    pixels = blocks.images * blocks.depth * blocks.height * blocks.width
    c.reads(w.Y, 4 * c[w.Y_COLUMNS], 0, [(pixels, c[w.Y_PIXEL]), (groups, c[w.Y_GROUP])])
    _copied_source(c, blocks)
    c.floats(c[w.ZEROS], width)
    c.table(c[w.ONE_TAP], 1)
    c.workspace(c[w.Y_BUFFER] + 4 * blocks.pixels * width)
    part = (c[w.G_PARTS] - 1) * c[w.W_PART] + (groups - 1) * c[w.W_GROUP] + columns.stored(4 * width)
    for chunk in c.table(c[w.CHUNK_TABLE], c[w.CHUNKS], w.CHUNK_WORDS):
        c.workspace(_gathered(c, chunk, blocks.pixels, lanes))
        terms = chunk[w.CHUNK_TAP_RUN]
        c.positive(terms=terms)
        c.need((blocks.pixels - 1) * c[w.PITCH] + 4 * terms <= c[w.Y_BUFFER], "gathered rows are overwritten")
        c.writes(w.W, part + chunk[w.CHUNK_B] + (terms - 1) * c[w.W_ROW], chunk[w.CHUNK_B])


def _pack(c: Claims) -> None:
    copy = c.step.links.get(w.P_COPY)
    c.need(isinstance(copy, Code), "a kernel that copies is missing")
    assert isinstance(copy, Code)
    across, row, step = copy.driver == "copy_panel_transposed", c[w.P_ROW], c[w.P_STEP]
    for unit in c.table(c[w.P_TABLE], c[w.P_UNITS], w.UNIT_WORDS):
        to, start, address, count, rows, columns = unit
        taps = c.table(address, count)
        if not taps or not rows:
            continue
        c.need(columns >= 1, "a panel has no columns")
        c.writes(w.P_TO, to + count * rows * row, to)
        size = (columns - 1) * step + 4 * rows if across else (rows - 1) * step + 4 * columns
        c.reads(w.P_FROM, start + max(taps) + size, start + min(taps))


def _add_parts(c: Claims) -> None:
    parts, count, stride = c[w.S_PARTS], c[w.S_COUNT], c[w.S_STRIDE]
    c.writes(w.S_TO, 4 * count)
    if parts:
        c.reads(w.S_FROM, (parts - 1) * stride + 4 * count)


def _depthwise_rows(c: Claims) -> tuple[int, int]:
    """Checks what both drivers read, and the table of taps; returns images and the last byte of the weights."""
    channels = c[d.CHANNELS]
    depth, height, width = c.many(d.COUNT_DEPTH, 3)
    c.positive(channels=channels, depth=depth, height=height, width=width, rows=c[d.ROWS])
    images, rest = divmod(c[d.ROWS], depth * height)
    c.need(rest == 0, "its lines are no whole images")
    first, end = c[d.INNER_FIRST], c[d.INNER_END]
    c.need(0 <= first <= end <= width, "inner pixels are outside of a line")
    counts = c.many(d.TAP_COUNT_DEPTH, 3)
    tables = [c.table(c[d.TAPS_DEPTH + k], counts[k], 2) for k in range(3)]
    c.workspace(16 * counts[0] * counts[1] * counts[2])
    c.reads(d.A, 4 * channels, 0, [(images * c[d.DEPTH] * c[d.HEIGHT] * c[d.WIDTH], c[d.A_PIXEL])])
    if not all(tables):
        return images, 0
    c.need(min(row[1] for table in tables for row in table) >= 0, "a tap lies before the weights")
    return images, sum(max(row[1] for row in table) for table in tables) + 4 * channels


def _depthwise(c: Claims) -> None:
    images, weights = _depthwise_rows(c)
    c.reads(d.W, weights)
    origin, image, plane, line, pixel = c.many(d.Y_ORIGIN, 5)
    c.need(min(origin, image, plane, line, pixel) >= 0, "a stride of the result is negative")
    depth, height, width = c.many(d.COUNT_DEPTH, 3)
    over = [(images, image), (depth, plane), (height, line), (width, pixel)]
    end = origin + 4 * c[d.CHANNELS]
    c.writes(d.Y, end, origin, over)
    if d.BIAS in c.step.slots:
        c.reads(d.BIAS, 4 * c[d.CHANNELS])
    if d.RESIDUAL in c.step.slots:
        c.reads(d.RESIDUAL, end, origin, over)


def _depthwise_gradient(c: Claims) -> None:
    _, weights = _depthwise_rows(c)
    size, parts = c[d.W_BYTES], c[d.PARTS]
    c.positive(parts=parts)
    c.need(weights <= size, "the gradient of a tap lies behind its part")
    c.writes(d.W, parts * size)
    c.reads(d.Y, 4 * c[d.CHANNELS], 0, [(c[d.ROWS] * c[d.COUNT_WIDTH], c[d.Y_PIXEL])])


RULES: Mapping[str, Rule] = {
    "correlate": _correlate,
    "weight_gradient": _weight_gradient,
    "pack": _pack,
    "add_parts_driver": _add_parts,
    "depthwise": _depthwise,
    "depthwise_gradient": _depthwise_gradient,
}
