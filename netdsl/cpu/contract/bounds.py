"""What the drivers of contractions touch: rules that follow `contract.drivers` and `depthwise_drivers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from netdsl.cpu.bounds import Claims, Rule
from netdsl.cpu.contract.arguments import (
    BAND,
    DIRECT,
    GATHER,
    ODD_MULTIPLES,
    AddParts,
    BandGradient,
    Chunk,
    Contraction,
    Correlate,
    Depthwise,
    Pack,
    WeightGradient,
)
from netdsl.cpu.contract.gemm import tile_rows
from netdsl.cpu.contract.panels import KernelTable
from netdsl.cpu.step import Code

C = TypeVar("C", bound=Contraction)


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


def _blocks(c: Claims[C]) -> _Blocks:
    a = c.args
    depth, height, width = a.count_depth, a.count_height, a.count_width
    planes, rows, block_rows, block_width = a.planes, a.rows, a.block_rows, a.block_width
    c.positive(depth=depth, height=height, width=width, planes=planes, rows=rows)
    c.positive(block_rows=block_rows, block_width=block_width)
    c.need(a.row_blocks == -(-rows // block_rows), "blocks of rows leave some out, or are empty")
    c.need(a.column_blocks == -(-width // block_width), "blocks of columns leave some out, or are empty")
    images, rest = divmod(planes * rows, depth * height)
    c.need(rest == 0, "its lines are no whole images")
    c.need(block_rows == 1 or block_width == width or rows == height, "blocks cross the ends of lines")
    return _Blocks(images, depth, height, width, min(block_rows, rows), min(block_width, width))


def _copied_source(c: Claims[C], blocks: _Blocks) -> None:
    """Copies read lines of the source, with what lies in gaps between its pixels."""
    a = c.args
    end = 4 * a.row_end
    c.reads("a", end, 0, [(blocks.images * a.depth * a.height, 4 * a.row_floats)], gaps=True)


def _gathered(c: Claims[C], chunk: Chunk, pixels: int) -> int:
    """The bytes of the buffer that gathering a chunk for so many pixels writes, whole vectors at a time."""
    a = c.args
    found = c.rows(chunk.runs, chunk.run_count)
    ends = [run.to + 4 * -(-run.length // a.lanes) * a.lanes for run in found]
    to = 0
    for run in found:
        c.need(run.to == to and run.length > 0, "gathered terms do not follow each other")
        to += 4 * run.length
    c.need(to == 4 * chunk.tap_run, "terms are read that are not gathered")
    return (pixels - 1) * a.pitch + max(ends, default=0)


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


def _columns(c: Claims[C]) -> _Columns:
    """The panels, whose tables of micro-kernels say how many vectors they have."""
    a, found = c.args, []
    for name, most in (("kernels", a.most), ("last_kernels", a.last_most)):
        table = c.step.args.links.get(name)
        c.need(isinstance(table, KernelTable), "a table of micro-kernels is missing")
        assert isinstance(table, KernelTable)
        c.need(1 <= most <= tile_rows()[table.vectors], f"there is no tile of {most} rows")
        found.append(table.vectors)
    c.positive(panels=a.panels)
    c.need(1 <= a.last_tail <= a.lanes, f"{a.last_tail} columns in the last of vectors of {a.lanes}")
    return _Columns(a.panels, found[0], found[1], a.lanes, a.last_tail)


def _tile_rows(c: Claims[Correlate], row: int) -> None:
    """The words that hold odd multiples of the distance of rows."""
    wanted = [row * odd for odd in range(1, 2 * ODD_MULTIPLES, 2)]
    c.need(c.args.a_row == wanted, "distances of rows are not multiples of the first")


def _correlate(c: Claims[Correlate]) -> None:
    a = c.args
    blocks, groups = _blocks(c), a.groups
    c.positive(groups=groups, splits=a.splits, chunks=a.chunk_count)
    columns = _columns(c)
    chunks = c.rows(a.chunks, a.chunk_count)
    _result(c, blocks, columns)
    _weights(c, chunks, columns)
    {DIRECT: _direct, BAND: _band, GATHER: _gather}[a.mode](c, blocks, chunks)


def _result(c: Claims[Correlate], blocks: _Blocks, columns: _Columns) -> None:
    a = c.args
    origin, image, plane, line, pixel = a.c_origin, a.c_image, a.c_plane, a.c_row, a.c_pixel
    c.need(min(origin, image, plane, line, pixel) >= 0, "a stride of the result is negative")
    if a.merged or a.rows != blocks.height:
        joined = (blocks.width * pixel, blocks.height * line, blocks.depth * plane)
        c.need((line, plane, image) == joined, "pixels are joined that do not follow each other")
    sizes = (blocks.images, blocks.depth, blocks.height, blocks.width)
    over = [*zip(sizes, (image, plane, line, pixel), strict=True), (a.groups, a.c_group)]
    stored = columns.stored(a.c_panel)
    c.writes("c", origin + stored, origin, over)
    if "residual" in c.step.slots:
        c.reads("residual", origin + stored, origin, over)
    if a.has_bias:
        c.reads("init", stored, 0, over[-1:])
    else:
        c.floats(a.init, columns.lanes * max(columns.vectors, columns.ending))


def _weights(c: Claims[Correlate], chunks: list[Chunk], columns: _Columns) -> None:
    a = c.args
    start = (a.groups - 1) * a.b_group + columns.read(a.b_panel)
    for chunk in chunks:
        terms = chunk.tap_count * chunk.tap_run
        if terms:
            c.reads("b", start + chunk.b + (terms - 1) * a.b_step, chunk.b)


def _taps(c: Claims[Correlate], chunk: Chunk) -> tuple[int, int]:
    """The lowest and one past the highest byte of the terms of a chunk, for one pixel."""
    lowest, highest = c.span(chunk.taps, chunk.tap_count)
    if c.points(chunk.heights):
        c.table(chunk.heights, chunk.tap_count)
    return lowest, highest + 4 * chunk.tap_run


def _direct(c: Claims[Correlate], blocks: _Blocks, chunks: list[Chunk]) -> None:
    """Rows that are read where they lie."""
    a = c.args
    row, step = 4 * a.row_floats, 4 * a.step_floats
    c.need(a.pitch == row, "lines are not those of the source")
    _tile_rows(c, step)
    plane = row * a.height
    over = [
        (blocks.images, a.depth * plane),
        (blocks.depth, a.step_depth * plane),
        (blocks.height, a.step_height * row),
        (blocks.width, step),
        (a.groups, 4 * a.a_group),
    ]
    for chunk in chunks:
        c.need(not c.points(chunk.heights), "taps are left out of lines that have no padding")
        for tap in c.table(chunk.taps, chunk.tap_count):
            c.reads("a", tap + 4 * chunk.tap_run, tap, over)


def _band(c: Claims[Correlate], blocks: _Blocks, chunks: list[Chunk]) -> None:
    """Rows that are read from a padded copy."""
    a = c.args
    lanes, pitch, step = a.lanes, a.pitch, a.step_floats
    planes, lines = a.band_planes, (blocks.block_rows - 1) * a.step_height + a.band_height
    length = (blocks.block_width - 1) * step + a.band_span
    c.table(a.band_depths, planes)
    copied = (planes - 1) * a.band_plane + (lines - 1) * pitch
    c.workspace(copied + 4 * -(-length // lanes) * lanes)
    _copied_source(c, blocks)
    c.need(a.rows == blocks.height, "a band goes over several planes")
    _tile_rows(c, 4 * step)
    last = (blocks.block_rows - 1) * a.step_height * pitch + 4 * (blocks.block_width - 1) * step
    last += 4 * (a.groups - 1) * a.a_group
    for chunk in chunks:
        first, end = _taps(c, chunk)
        if chunk.tap_count:
            c.need(first >= 0 and last + end <= copied + 4 * length, "rows are read that are not copied")


def _gather(c: Claims[Correlate], blocks: _Blocks, chunks: list[Chunk]) -> None:
    """Rows that are gathered, pixel by pixel."""
    a = c.args
    _copied_source(c, blocks)
    _tile_rows(c, a.pitch)
    for chunk in chunks:
        c.workspace(_gathered(c, chunk, blocks.pixels))
        c.need(chunk.tap_count <= 1, "gathered terms have several taps")
        first, end = _taps(c, chunk)
        c.need(first == 0 and end <= a.pitch, "a gathered row is longer than its place")


def _weight_gradient(c: Claims[WeightGradient]) -> None:
    a = c.args
    blocks, groups, lanes = _blocks(c), a.groups, a.lanes
    c.positive(groups=groups, splits=a.splits, parts=a.parts, chunks=a.chunk_count)
    c.need(a.planes == 1, "its pixels are not joined")
    columns = _columns(c)
    width = a.panel_vectors * lanes
    c.need(max(columns.vectors, columns.ending) <= a.panel_vectors, "tiles are wider than panels")
    c.need((columns.count - 1) * width < a.y_columns <= columns.count * width, "panels miss some columns")
    pixels = blocks.images * blocks.depth * blocks.height * blocks.width
    c.reads("y", 4 * a.y_columns, 0, [(pixels, a.y_pixel), (groups, a.y_group)])
    _copied_source(c, blocks)
    c.floats(a.zeros, width)
    c.table(a.one_tap, 1)
    c.workspace(a.y_buffer + 4 * blocks.pixels * width)
    part = (a.parts - 1) * a.w_part + (groups - 1) * a.w_group + columns.stored(4 * width)
    for chunk in c.rows(a.chunks, a.chunk_count):
        c.workspace(_gathered(c, chunk, blocks.pixels))
        terms = chunk.tap_run
        c.positive(terms=terms)
        c.need((blocks.pixels - 1) * a.pitch + 4 * terms <= a.y_buffer, "gathered rows are overwritten")
        c.writes("w", part + chunk.b + (terms - 1) * a.w_row, chunk.b)


def _band_gradient(c: Claims[BandGradient]) -> None:
    a = c.args
    blocks, columns, width = _blocks(c), _columns(c), a.panel_vectors * a.lanes
    c.positive(parts=a.parts, splits=a.splits, terms=a.terms, kernel_rows=a.kernel_rows, groups=a.groups)
    c.need(a.groups == 1 and a.depth == 1 and blocks.depth == 1, "its bands are of one plane")
    c.need(a.rows == blocks.height and a.block_width == blocks.width, "a band goes over several planes")
    c.need(max(columns.vectors, columns.ending) <= a.panel_vectors, "tiles are wider than panels")
    c.need((columns.count - 1) * width < a.y_columns <= columns.count * width, "panels miss some columns")
    c.reads("y", 4 * a.y_columns, 0, [(blocks.images * blocks.height * blocks.width, a.y_pixel)])
    _copied_source(c, blocks)
    c.floats(a.zeros, width)
    length = (blocks.block_width - 1) * a.step_floats + a.band_span
    copied = ((blocks.block_rows - 1) * a.step_height + a.band_height - 1) * a.pitch
    c.need(c.table(a.band_depths, a.band_planes) == [0], "its bands are of one plane")
    c.need(copied + 4 * -(-length // a.lanes) * a.lanes <= a.y_buffer, "bands are overwritten")
    c.workspace(a.y_buffer + 4 * blocks.pixels * width)
    lines = c.table(a.lines, blocks.block_rows)
    last = max(lines) + (a.kernel_rows - 1) * a.tap_row + 4 * (blocks.block_width - 1) * a.step_floats
    c.need(min(lines) >= 0 and a.tap_row >= 0, "rows are read that are not copied")
    c.need(last + 4 * a.terms <= copied + 4 * length, "rows are read that are not copied")
    end = (a.parts - 1) * a.w_part + (a.kernel_rows - 1) * a.w_tap + (a.terms - 1) * a.w_row
    c.writes("w", end + columns.stored(4 * width))


def _pack(c: Claims[Pack]) -> None:
    a, copy = c.args, c.step.args.links.get("copy")
    c.need(isinstance(copy, Code), "a kernel that copies is missing")
    assert isinstance(copy, Code)
    across, row, step = copy.driver == "copy_panel_transposed", a.row, a.step
    first, end, low, high = [], [], [], []
    for unit in c.rows(a.units, a.unit_count):
        to, start, count, rows, columns = unit.to, unit.source, unit.tap_count, unit.rows, unit.columns
        lowest, highest = c.span(unit.taps, count)
        if not count or not rows:
            continue
        c.need(columns >= 1, "a panel has no columns")
        size = (columns - 1) * step + 4 * rows if across else (rows - 1) * step + 4 * columns
        first.append(to)
        end.append(to + count * rows * row)
        low.append(start + lowest)
        high.append(start + highest + size)
    # Panels and kernels are dense, so that all is inside where the outermost bytes are.
    c.dense("to", "source")
    c.writes("to", max(end, default=0), min(first, default=0))
    c.reads("source", max(high, default=0), min(low, default=0))


def _add_parts(c: Claims[AddParts]) -> None:
    parts, count, stride = c.args.parts, c.args.count, c.args.stride
    c.writes("to", 4 * count)
    if parts:
        c.reads("source", (parts - 1) * stride + 4 * count)


def _depthwise_rows(c: Claims[Depthwise]) -> tuple[int, int]:
    """Checks what both drivers read, and the table of taps; returns images and the last byte of the weights."""
    a = c.args
    channels, depth, height, width = a.channels, a.count_depth, a.count_height, a.count_width
    c.positive(channels=channels, depth=depth, height=height, width=width, rows=a.rows)
    images, rest = divmod(a.rows, depth * height)
    c.need(rest == 0, "its lines are no whole images")
    first, end = a.inner_first, a.inner_end
    c.need(0 <= first <= end <= width, "inner pixels are outside of a line")
    counts = (a.tap_count_depth, a.tap_count_height, a.tap_count_width)
    taps = (a.taps_depth, a.taps_height, a.taps_width)
    tables = [c.rows(rows, count) for rows, count in zip(taps, counts, strict=True)]
    c.workspace(16 * counts[0] * counts[1] * counts[2])
    c.reads("a", 4 * channels, 0, [(images * a.depth * a.height * a.width, a.a_pixel)])
    if not all(tables):
        return images, 0
    c.need(min(tap.weight for table in tables for tap in table) >= 0, "a tap lies before the weights")
    return images, sum(max(tap.weight for tap in table) for table in tables) + 4 * channels


def _depthwise(c: Claims[Depthwise]) -> None:
    a = c.args
    images, weights = _depthwise_rows(c)
    c.reads("w", weights)
    origin, image, plane, line, pixel = a.y_origin, a.y_image, a.y_plane, a.y_row, a.y_pixel
    c.need(min(origin, image, plane, line, pixel) >= 0, "a stride of the result is negative")
    depth, height, width = a.count_depth, a.count_height, a.count_width
    over = [(images, image), (depth, plane), (height, line), (width, pixel)]
    end = origin + 4 * a.channels
    c.writes("y", end, origin, over)
    if "bias" in c.step.slots:
        c.reads("bias", 4 * a.channels)
    if "residual" in c.step.slots:
        c.reads("residual", end, origin, over)


def _depthwise_gradient(c: Claims[Depthwise]) -> None:
    a = c.args
    _, weights = _depthwise_rows(c)
    size, parts = a.w_bytes, a.parts
    c.positive(parts=parts)
    c.need(weights <= size, "the gradient of a tap lies behind its part")
    c.writes("w", parts * size)
    c.reads("y", 4 * a.channels, 0, [(a.rows * a.count_width, a.y_pixel)])


RULES: Mapping[str, Rule] = {
    "correlate": _correlate,
    "weight_gradient": _weight_gradient,
    "band_gradient": _band_gradient,
    "pack": _pack,
    "add_parts_driver": _add_parts,
    "depthwise": _depthwise,
    "depthwise_gradient": _depthwise_gradient,
}
