"""The loops around the GEMM micro-kernels, as Python functions that Numba compiles.

Each takes the address of an argument block, a share (`part` of `parts`) and the workspace of its thread; see
`contract.arguments`. The bits of a result do not depend on the number of parts: units of
work write outputs of their own, and every sum runs in one order. (`min` of two numbers would call back into Python.)
"""

from __future__ import annotations

import math

from netdsl.cpu.codegen.numba_ir import address, block_at, call6, call7, call8, inlined, load
from netdsl.cpu.contract.arguments import (
    BAND,
    CALL_BYTES,
    GATHER,
    ODD_MULTIPLES,
    AddParts,
    Banded,
    Chunk,
    Contraction,
    Correlate,
    GemmCall,
    Pack,
    WeightGradient,
)

call_at = block_at(GemmCall)


@inlined
def _gather(
    args: Contraction, to: int, chunk: Chunk, row: int, lines: int, x: int, width: int, group: int
) -> None:
    """Copy the runs of a chunk for `lines` rows of `width` pixels into rows of PITCH bytes."""
    pitch, step = args.pitch, args.step_floats
    height, depth = args.height, args.depth
    for line in range(lines):
        plane = (row + line) // args.count_height
        y = (row + line) - plane * args.count_height
        image = plane // args.count_depth
        z = plane - image * args.count_depth
        for k in range(chunk.run_count):
            run = chunk.runs[k]
            in_z = z * args.step_depth + run.depth
            in_y = y * args.step_height + run.height
            limit = 0
            if 0 <= in_z < depth and 0 <= in_y < height:
                limit = args.row_end
            source = args.a + ((image * depth + in_z) * height + in_y) * args.row_floats * 4
            start = x * step + run.start + group * args.a_group
            place = to + line * width * pitch + run.to
            call8(
                args.copy_runs,
                place,
                pitch,
                source,
                start,
                step,
                run.length,
                limit,
                width,
            )


@inlined
def copy_band(args: Banded, to: int, row: int, lines: int, x: int, width: int) -> None:
    """Copy what `lines` rows of `width` pixels read, with zeros for the padding."""
    plane = row // args.count_height
    y = row - plane * args.count_height
    image = plane // args.count_depth
    z = plane - image * args.count_depth
    pitch, height, depth = args.pitch, args.height, args.depth
    start = x * args.step_floats + args.band_start
    length = (width - 1) * args.step_floats + args.band_span
    rows = (lines - 1) * args.step_height + args.band_height
    for k in range(args.band_planes):
        in_z = z * args.step_depth + args.band_depths[k]
        place = to + k * args.band_plane
        for line in range(rows):
            in_y = y * args.step_height + args.band_top + line
            limit = 0
            if 0 <= in_z < depth and 0 <= in_y < height:
                limit = args.row_end
            source = args.a + ((image * depth + in_z) * height + in_y) * args.row_floats * 4
            call8(args.copy_runs, place + line * pitch, 0, source, start, 0, length, limit, 1)


@inlined
def tall_of(rows: int, most: int) -> int:
    """The height of tiles that cut `rows` into the fewest, nearly even."""
    tiles = (rows + most - 1) // most
    return (rows + tiles - 1) // tiles


@inlined
def tiles_of(
    kernels: int, tall: int, call: GemmCall, a: int, b: int, c: int, init: int, residual: int, rows: int
) -> None:
    """A panel of `rows` rows: tiles of height `tall`, then tiles that are one shorter."""
    tiles = (rows + tall - 1) // tall
    many = tiles - (tiles * tall - rows)
    call7(load(kernels, tall), address(call), a, b, c, init, residual, many)
    if many < tiles:
        done = many * tall
        if residual != 0:
            residual += done * call.c_row
        a += done * call.a_row[0]
        c += done * call.c_row
        init += done * call.init_row
        call7(load(kernels, tall - 1), address(call), a, b, c, init, residual, tiles - many)


def correlate(args: Correlate, part: int, parts: int, workspace: int) -> None:
    """Roles "forward" and "backward_data": blocks of pixels times panels of columns."""
    call, buffer = call_at(workspace), workspace + CALL_BYTES
    call.a_step = 4
    call.b_step = args.b_step
    call.c_row = args.c_pixel
    for k in range(ODD_MULTIPLES):
        call.a_row[k] = args.a_row[k]
    columns, rows = args.column_blocks, args.row_blocks
    blocks = args.planes * rows * columns
    units = blocks * args.splits
    for unit in range(units * part // parts, units * (part + 1) // parts):
        split = unit // blocks
        block = unit - split * blocks
        line = block // columns
        x = (block - line * columns) * args.block_width
        plane = line // rows
        y = (line - plane * rows) * args.block_rows
        lines, width = args.rows - y, args.count_width - x
        if lines > args.block_rows:
            lines = args.block_rows
        if width > args.block_width:
            width = args.block_width
        _block(args, call, buffer, plane * args.rows + y, lines, x, width, split)


@inlined
def _block(
    args: Correlate, call: GemmCall, buffer: int, row: int, lines: int, x: int, width: int, split: int
) -> None:
    """Rows `row` to `row + lines` (of all images), pixels `x` to `x + width` of each, panels of a split."""
    mode = args.mode
    plane = row // args.count_height
    y = row - plane * args.count_height
    image = plane // args.count_depth
    z = plane - image * args.count_depth
    place = args.c_origin + image * args.c_image + z * args.c_plane
    place += y * args.c_row + x * args.c_pixel
    a, a_line = buffer, args.step_height * args.pitch
    if mode == BAND:
        copy_band(args, buffer, row, lines, x, width)
    elif mode == GATHER:
        a_line = width * args.pitch
    else:
        in_row = (image * args.depth + z * args.step_depth) * args.height
        in_row += y * args.step_height
        a = args.a + 4 * (in_row * args.row_floats + x * args.step_floats)
    panels = args.panels
    first, last = panels * split // args.splits, panels * (split + 1) // args.splits
    for group in range(args.groups):
        for number in range(args.chunk_count):
            chunk = args.chunks[number]
            from_a = a
            if mode == GATHER:
                _gather(args, buffer, chunk, row, lines, x, width, group)
            else:
                from_a = a + 4 * group * args.a_group
            joined_lines, joined_width = lines, width
            if args.merged:
                joined_lines, joined_width = 1, lines * width
            _chunk(
                args,
                call,
                chunk,
                number,
                group,
                first,
                last,
                from_a,
                a_line,
                place,
                y,
                joined_lines,
                joined_width,
            )


@inlined
def _inside(args: Correlate, call: GemmCall, chunk: Chunk, y: int) -> int:
    """Leave out the taps above and below the source; returns the bytes of weights before the rest."""
    heights, count = chunk.heights, chunk.tap_count
    at = y * args.step_height
    first, last = 0, count
    while first < last and at + heights[first] < 0:
        first += 1
    while last > first and at + heights[last - 1] >= args.height:
        last -= 1
    call.taps = address(chunk.taps) + 8 * first
    call.tap_count = last - first
    return first * chunk.tap_run * args.b_step


@inlined
def _chunk(
    args: Correlate,
    call: GemmCall,
    chunk: Chunk,
    number: int,
    group: int,
    first: int,
    last: int,
    a: int,
    a_line: int,
    place: int,
    y: int,
    lines: int,
    width: int,
) -> None:
    """Add a chunk of the terms to the panels `first` to `last` of a block."""
    call.taps = address(chunk.taps)
    call.tap_count = chunk.tap_count
    call.run = chunk.tap_run
    call.tail = args.lanes
    call.low = -math.inf
    call.high = math.inf
    call.init_row = args.c_pixel if number > 0 else 0
    residual = 0
    if number == args.chunk_count - 1:
        call.low = args.low
        call.high = args.high
        residual = args.residual
    kernels, most = args.kernels, args.most
    b0 = args.b + group * args.b_group + chunk.b
    tall = tall_of(width, most)
    for panel in range(first, last):
        if panel == args.panels - 1:
            call.tail = args.last_tail
            kernels, most = args.last_kernels, args.last_most
            tall = tall_of(width, most)
        column = group * args.c_group + panel * args.c_panel
        at = place + column
        call.ahead = args.b_panel
        for line in range(lines):
            c = args.c + at
            init = c
            if number == 0:
                init = args.init
                if args.has_bias:
                    init += column
            add = residual
            if add != 0:
                add += at
            b = b0 + panel * args.b_panel
            if address(chunk.heights) != 0:
                b += _inside(args, call, chunk, y + line)
            tiles_of(kernels, tall, call, a + line * a_line, b, c, init, add, width)
            call.ahead = 0
            at += args.c_row


def weight_gradient(args: WeightGradient, part: int, parts: int, workspace: int) -> None:
    """Role "backward_weights": sums over pixels for (part of the pixels, group, chunk of terms, share of panels)."""
    call, buffer = call_at(workspace), workspace + CALL_BYTES
    call.a_step = args.pitch
    call.b_step = 4 * args.panel_vectors * args.lanes
    call.c_row = args.w_row
    call.taps = address(args.one_tap)
    call.tap_count = 1
    call.ahead = 0
    call.low = -math.inf
    call.high = math.inf
    for k in range(ODD_MULTIPLES):
        call.a_row[k] = 4 * (2 * k + 1)
    chunks, splits, groups = args.chunk_count, args.splits, args.groups
    columns = args.column_blocks
    blocks = args.row_blocks * columns
    pixel_parts = args.parts
    units = pixel_parts * groups * chunks * splits
    for unit in range(units * part // parts, units * (part + 1) // parts):
        rest = unit // splits
        split = unit - rest * splits
        unit_chunk = rest
        rest = unit_chunk // chunks
        chunk = args.chunks[unit_chunk - rest * chunks]
        pixel_part = rest // groups
        group = rest - pixel_part * groups
        result = args.w + pixel_part * args.w_part + group * args.w_group
        result += chunk.b
        begin = blocks * pixel_part // pixel_parts
        for block in range(begin, blocks * (pixel_part + 1) // pixel_parts):
            line = block // columns
            x = (block - line * columns) * args.block_width
            row = line * args.block_rows
            lines, width = args.rows - row, args.count_width - x
            if lines > args.block_rows:
                lines = args.block_rows
            if width > args.block_width:
                width = args.block_width
            _gather(args, buffer, chunk, row, lines, x, width, group)
            y = args.y + (row * args.count_width + x) * args.y_pixel
            y += group * args.y_group
            _outer(
                args,
                call,
                buffer,
                y,
                lines * width,
                result,
                chunk.tap_run,
                split,
                block == begin,
            )


@inlined
def _outer(
    args: WeightGradient,
    call: GemmCall,
    buffer: int,
    y: int,
    pixels: int,
    result: int,
    terms: int,
    split: int,
    fresh: bool,
) -> None:
    """Add the products of gathered pixels and of their gradients to `terms` rows of the result."""
    call.run = pixels
    call.tail = args.lanes
    call.init_row = 0 if fresh else args.w_row
    panels, width = args.panels, args.panel_vectors * args.lanes
    kernels, most = args.kernels, args.most
    copied = buffer + args.y_buffer
    splits = args.splits
    for panel in range(panels * split // splits, panels * (split + 1) // splits):
        columns = args.y_columns - panel * width
        if columns > width:
            columns = width
        if panel == panels - 1:
            call.tail = args.last_tail
            kernels, most = args.last_kernels, args.last_most
        source = y + 4 * panel * width
        call6(
            args.copy_panel,
            copied,
            source,
            args.y_pixel,
            pixels,
            columns,
            args.panel_vectors,
        )
        c = result + 4 * panel * width
        init = args.zeros if fresh else c
        tiles_of(kernels, tall_of(terms, most), call, buffer, copied, c, init, 0, terms)


def pack(args: Pack, part: int, parts: int, workspace: int) -> None:
    """Weights into panels: the units of the table, each a panel of some taps."""
    units, vectors = args.unit_count, args.vectors
    for number in range(units * part // parts, units * (part + 1) // parts):
        unit = args.units[number]
        to = args.to + unit.to
        for k in range(unit.tap_count):
            source = args.source + unit.source + unit.taps[k]
            rows = unit.rows
            call6(
                args.copy,
                to,
                source,
                args.step,
                rows,
                unit.columns,
                vectors,
            )
            to += rows * args.row


def add_parts_driver(args: AddParts, part: int, parts: int, workspace: int) -> None:
    """The sum of the parts of a result, in their order."""
    count = args.count
    first, last = count * part // parts, count * (part + 1) // parts
    if last > first:
        call6(
            args.kernel,
            args.to + 4 * first,
            args.source + 4 * first,
            args.stride,
            args.parts,
            last - first,
            0,
        )
