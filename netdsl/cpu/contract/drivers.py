"""The loops around the GEMM micro-kernels, as Python functions that Numba compiles.

Each takes the address of an argument block, a share (`part` of `parts`) and the workspace of its thread; the words
of the blocks are those of `contract_words`. The bits of a result do not depend on the number of parts: units of
work write outputs of their own, and every sum runs in one order. (`min` of two numbers would call back into Python.)
"""

from __future__ import annotations

from netdsl.cpu.codegen.numba_ir import call6, call7, call8, inlined, load, save
from netdsl.cpu.contract import words as w
from netdsl.cpu.contract.gemm import Call

C_A_STEP, C_B_STEP, C_C_ROW, C_INIT_ROW, C_TAPS = (
    int(k) for k in (Call.A_STEP, Call.B_STEP, Call.C_ROW, Call.INIT_ROW, Call.TAPS)
)
C_TAP_COUNT, C_RUN, C_TAIL, C_LOW, C_HIGH, C_A_ROW = (
    int(k) for k in (Call.TAP_COUNT, Call.RUN, Call.TAIL, Call.LOW, Call.HIGH, Call.A_ROW)
)
MINUS_INFINITY, INFINITY = 0xFF800000, 0x7F800000


@inlined
def _gather(args: int, to: int, chunk: int, row: int, lines: int, x: int, width: int, group: int) -> None:
    """Copy the runs of a chunk for `lines` rows of `width` pixels into rows of PITCH bytes."""
    pitch, step = load(args, w.PITCH), load(args, w.STEP_FLOATS)
    runs, height, depth = load(chunk, w.CHUNK_RUNS), load(args, w.HEIGHT), load(args, w.DEPTH)
    for line in range(lines):
        plane = (row + line) // load(args, w.COUNT_HEIGHT)
        y = (row + line) - plane * load(args, w.COUNT_HEIGHT)
        image = plane // load(args, w.COUNT_DEPTH)
        z = plane - image * load(args, w.COUNT_DEPTH)
        for k in range(load(chunk, w.CHUNK_RUN_COUNT)):
            run = runs + 8 * w.RUN_WORDS * k
            in_z = z * load(args, w.STEP_DEPTH) + load(run, w.RUN_DEPTH)
            in_y = y * load(args, w.STEP_HEIGHT) + load(run, w.RUN_HEIGHT)
            limit = 0
            if 0 <= in_z < depth and 0 <= in_y < height:
                limit = load(args, w.ROW_END)
            source = load(args, w.A) + ((image * depth + in_z) * height + in_y) * load(args, w.ROW_FLOATS) * 4
            start = x * step + load(run, w.RUN_START) + group * load(args, w.A_GROUP)
            place = to + line * width * pitch + load(run, w.RUN_TO)
            call8(
                load(args, w.COPY_RUNS),
                place,
                pitch,
                source,
                start,
                step,
                load(run, w.RUN_LENGTH),
                limit,
                width,
            )


@inlined
def _band(args: int, to: int, row: int, lines: int, x: int, width: int) -> None:
    """Copy what `lines` rows of `width` pixels read, with zeros for the padding."""
    plane = row // load(args, w.COUNT_HEIGHT)
    y = row - plane * load(args, w.COUNT_HEIGHT)
    image = plane // load(args, w.COUNT_DEPTH)
    z = plane - image * load(args, w.COUNT_DEPTH)
    pitch, height, depth = load(args, w.PITCH), load(args, w.HEIGHT), load(args, w.DEPTH)
    start = x * load(args, w.STEP_FLOATS) + load(args, w.BAND_START)
    length = (width - 1) * load(args, w.STEP_FLOATS) + load(args, w.BAND_SPAN)
    rows = (lines - 1) * load(args, w.STEP_HEIGHT) + load(args, w.BAND_HEIGHT)
    for k in range(load(args, w.BAND_PLANES)):
        in_z = z * load(args, w.STEP_DEPTH) + load(load(args, w.BAND_DEPTHS), k)
        place = to + k * load(args, w.BAND_PLANE)
        for line in range(rows):
            in_y = y * load(args, w.STEP_HEIGHT) + load(args, w.BAND_TOP) + line
            limit = 0
            if 0 <= in_z < depth and 0 <= in_y < height:
                limit = load(args, w.ROW_END)
            source = load(args, w.A) + ((image * depth + in_z) * height + in_y) * load(args, w.ROW_FLOATS) * 4
            call8(load(args, w.COPY_RUNS), place + line * pitch, 0, source, start, 0, length, limit, 1)


@inlined
def _tall(rows: int, most: int) -> int:
    """The height of tiles that cut `rows` into the fewest, nearly even."""
    tiles = (rows + most - 1) // most
    return (rows + tiles - 1) // tiles


@inlined
def _tiles(
    kernels: int, tall: int, call: int, a: int, b: int, c: int, init: int, residual: int, rows: int
) -> None:
    """A panel of `rows` rows: tiles of height `tall`, then tiles that are one shorter."""
    tiles = (rows + tall - 1) // tall
    many = tiles - (tiles * tall - rows)
    call7(load(kernels, tall), call, a, b, c, init, residual, many)
    if many < tiles:
        done = many * tall
        if residual != 0:
            residual += done * load(call, C_C_ROW)
        a += done * load(call, C_A_ROW)
        c += done * load(call, C_C_ROW)
        init += done * load(call, C_INIT_ROW)
        call7(load(kernels, tall - 1), call, a, b, c, init, residual, tiles - many)


def correlate(args: int, part: int, parts: int, workspace: int) -> None:
    """Roles "forward" and "backward_data": blocks of pixels times panels of columns."""
    call, buffer = workspace, workspace + w.CALL_BYTES
    save(call, C_A_STEP, 4)
    save(call, C_B_STEP, load(args, w.B_STEP))
    save(call, C_C_ROW, load(args, w.C_PIXEL))
    for k in range(w.A_ROW_WORDS):
        save(call, C_A_ROW + k, load(args, w.A_ROW + k))
    columns, rows = load(args, w.COLUMN_BLOCKS), load(args, w.ROW_BLOCKS)
    blocks = load(args, w.PLANES) * rows * columns
    units = blocks * load(args, w.SPLITS)
    for unit in range(units * part // parts, units * (part + 1) // parts):
        split = unit // blocks
        block = unit - split * blocks
        line = block // columns
        x = (block - line * columns) * load(args, w.BLOCK_WIDTH)
        plane = line // rows
        y = (line - plane * rows) * load(args, w.BLOCK_ROWS)
        lines, width = load(args, w.ROWS) - y, load(args, w.COUNT_WIDTH) - x
        if lines > load(args, w.BLOCK_ROWS):
            lines = load(args, w.BLOCK_ROWS)
        if width > load(args, w.BLOCK_WIDTH):
            width = load(args, w.BLOCK_WIDTH)
        _block(args, call, buffer, plane * load(args, w.ROWS) + y, lines, x, width, split)


@inlined
def _block(args: int, call: int, buffer: int, row: int, lines: int, x: int, width: int, split: int) -> None:
    """Rows `row` to `row + lines` (of all images), pixels `x` to `x + width` of each, panels of a split."""
    mode = load(args, w.MODE)
    plane = row // load(args, w.COUNT_HEIGHT)
    y = row - plane * load(args, w.COUNT_HEIGHT)
    image = plane // load(args, w.COUNT_DEPTH)
    z = plane - image * load(args, w.COUNT_DEPTH)
    place = load(args, w.C_ORIGIN) + image * load(args, w.C_IMAGE) + z * load(args, w.C_PLANE)
    place += y * load(args, w.C_ROW) + x * load(args, w.C_PIXEL)
    a, a_line = buffer, load(args, w.STEP_HEIGHT) * load(args, w.PITCH)
    if mode == w.BAND:
        _band(args, buffer, row, lines, x, width)
    elif mode == w.GATHER:
        a_line = width * load(args, w.PITCH)
    else:
        in_row = (image * load(args, w.DEPTH) + z * load(args, w.STEP_DEPTH)) * load(args, w.HEIGHT)
        in_row += y * load(args, w.STEP_HEIGHT)
        a = load(args, w.A) + 4 * (in_row * load(args, w.ROW_FLOATS) + x * load(args, w.STEP_FLOATS))
    panels = load(args, w.PANELS)
    first, last = panels * split // load(args, w.SPLITS), panels * (split + 1) // load(args, w.SPLITS)
    for group in range(load(args, w.GROUPS)):
        for number in range(load(args, w.CHUNKS)):
            chunk = load(args, w.CHUNK_TABLE) + 8 * w.CHUNK_WORDS * number
            from_a = a
            if mode == w.GATHER:
                _gather(args, buffer, chunk, row, lines, x, width, group)
            else:
                from_a = a + 4 * group * load(args, w.A_GROUP)
            joined_lines, joined_width = lines, width
            if load(args, w.MERGED) != 0:
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
def _inside(args: int, call: int, chunk: int, y: int) -> int:
    """Leave out the taps above and below the source; returns the bytes of weights before the rest."""
    heights, count = load(chunk, w.CHUNK_HEIGHTS), load(chunk, w.CHUNK_TAP_COUNT)
    at = y * load(args, w.STEP_HEIGHT)
    first, last = 0, count
    while first < last and at + load(heights, first) < 0:
        first += 1
    while last > first and at + load(heights, last - 1) >= load(args, w.HEIGHT):
        last -= 1
    save(call, C_TAPS, load(chunk, w.CHUNK_TAPS) + 8 * first)
    save(call, C_TAP_COUNT, last - first)
    skipped: int = first * load(chunk, w.CHUNK_TAP_RUN) * load(args, w.B_STEP)
    return skipped


@inlined
def _chunk(
    args: int,
    call: int,
    chunk: int,
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
    save(call, C_TAPS, load(chunk, w.CHUNK_TAPS))
    save(call, C_TAP_COUNT, load(chunk, w.CHUNK_TAP_COUNT))
    save(call, C_RUN, load(chunk, w.CHUNK_TAP_RUN))
    save(call, C_TAIL, load(args, w.LANES))
    save(call, C_LOW, MINUS_INFINITY)
    save(call, C_HIGH, INFINITY)
    save(call, C_INIT_ROW, load(args, w.C_PIXEL) if number > 0 else 0)
    residual = 0
    if number == load(args, w.CHUNKS) - 1:
        save(call, C_LOW, load(args, w.LOW))
        save(call, C_HIGH, load(args, w.HIGH))
        residual = load(args, w.RESIDUAL)
    kernels, most = load(args, w.KERNELS), load(args, w.MOST)
    b0 = load(args, w.B) + group * load(args, w.B_GROUP) + load(chunk, w.CHUNK_B)
    tall = _tall(width, most)
    for panel in range(first, last):
        if panel == load(args, w.PANELS) - 1:
            save(call, C_TAIL, load(args, w.LAST_TAIL))
            kernels, most = load(args, w.LAST_KERNELS), load(args, w.LAST_MOST)
            tall = _tall(width, most)
        column = group * load(args, w.C_GROUP) + panel * load(args, w.C_PANEL)
        at = place + column
        for line in range(lines):
            c = load(args, w.C) + at
            init = c
            if number == 0:
                init = load(args, w.INIT)
                if load(args, w.HAS_BIAS) != 0:
                    init += column
            add = residual
            if add != 0:
                add += at
            b = b0 + panel * load(args, w.B_PANEL)
            if load(chunk, w.CHUNK_HEIGHTS) != 0:
                b += _inside(args, call, chunk, y + line)
            _tiles(kernels, tall, call, a + line * a_line, b, c, init, add, width)
            at += load(args, w.C_ROW)


def weight_gradient(args: int, part: int, parts: int, workspace: int) -> None:
    """Role "backward_weights": sums over pixels for (part of the pixels, group, chunk of terms, share of panels)."""
    call, buffer = workspace, workspace + w.CALL_BYTES
    save(call, C_A_STEP, load(args, w.PITCH))
    save(call, C_B_STEP, 4 * load(args, w.G_PANEL_VECTORS) * load(args, w.G_LANES))
    save(call, C_C_ROW, load(args, w.W_ROW))
    save(call, C_TAPS, load(args, w.ONE_TAP))
    save(call, C_TAP_COUNT, 1)
    save(call, C_LOW, MINUS_INFINITY)
    save(call, C_HIGH, INFINITY)
    for k in range(w.A_ROW_WORDS):
        save(call, C_A_ROW + k, 4 * (2 * k + 1))
    chunks, splits, groups = load(args, w.CHUNKS), load(args, w.G_SPLITS), load(args, w.GROUPS)
    columns = load(args, w.COLUMN_BLOCKS)
    blocks = load(args, w.ROW_BLOCKS) * columns
    pixel_parts = load(args, w.G_PARTS)
    units = pixel_parts * groups * chunks * splits
    for unit in range(units * part // parts, units * (part + 1) // parts):
        rest = unit // splits
        split = unit - rest * splits
        unit_chunk = rest
        rest = unit_chunk // chunks
        chunk = load(args, w.CHUNK_TABLE) + 8 * w.CHUNK_WORDS * (unit_chunk - rest * chunks)
        pixel_part = rest // groups
        group = rest - pixel_part * groups
        result = load(args, w.W) + pixel_part * load(args, w.W_PART) + group * load(args, w.W_GROUP)
        result += load(chunk, w.CHUNK_B)
        begin = blocks * pixel_part // pixel_parts
        for block in range(begin, blocks * (pixel_part + 1) // pixel_parts):
            line = block // columns
            x = (block - line * columns) * load(args, w.BLOCK_WIDTH)
            row = line * load(args, w.BLOCK_ROWS)
            lines, width = load(args, w.ROWS) - row, load(args, w.COUNT_WIDTH) - x
            if lines > load(args, w.BLOCK_ROWS):
                lines = load(args, w.BLOCK_ROWS)
            if width > load(args, w.BLOCK_WIDTH):
                width = load(args, w.BLOCK_WIDTH)
            _gather(args, buffer, chunk, row, lines, x, width, group)
            y = load(args, w.Y) + (row * load(args, w.COUNT_WIDTH) + x) * load(args, w.Y_PIXEL)
            y += group * load(args, w.Y_GROUP)
            _outer(
                args,
                call,
                buffer,
                y,
                lines * width,
                result,
                load(chunk, w.CHUNK_TAP_RUN),
                split,
                block == begin,
            )


@inlined
def _outer(
    args: int, call: int, buffer: int, y: int, pixels: int, result: int, terms: int, split: int, fresh: bool
) -> None:
    """Add the products of gathered pixels and of their gradients to `terms` rows of the result."""
    save(call, C_RUN, pixels)
    save(call, C_TAIL, load(args, w.G_LANES))
    save(call, C_INIT_ROW, 0 if fresh else load(args, w.W_ROW))
    panels, width = load(args, w.G_PANELS), load(args, w.G_PANEL_VECTORS) * load(args, w.G_LANES)
    kernels, most = load(args, w.G_KERNELS), load(args, w.G_MOST)
    copied = buffer + load(args, w.Y_BUFFER)
    splits = load(args, w.G_SPLITS)
    for panel in range(panels * split // splits, panels * (split + 1) // splits):
        columns = load(args, w.Y_COLUMNS) - panel * width
        if columns > width:
            columns = width
        if panel == panels - 1:
            save(call, C_TAIL, load(args, w.G_LAST_TAIL))
            kernels, most = load(args, w.G_LAST_KERNELS), load(args, w.G_LAST_MOST)
        source = y + 4 * panel * width
        call6(
            load(args, w.COPY_PANEL),
            copied,
            source,
            load(args, w.Y_PIXEL),
            pixels,
            columns,
            load(args, w.G_PANEL_VECTORS),
        )
        c = result + 4 * panel * width
        init = load(args, w.ZEROS) if fresh else c
        _tiles(kernels, _tall(terms, most), call, buffer, copied, c, init, 0, terms)


def pack(args: int, part: int, parts: int, workspace: int) -> None:
    """Weights into panels: the units of the table, each a panel of some taps."""
    units, vectors = load(args, w.P_UNITS), load(args, w.P_VECTORS)
    for number in range(units * part // parts, units * (part + 1) // parts):
        unit = load(args, w.P_TABLE) + 8 * w.UNIT_WORDS * number
        to = load(args, w.P_TO) + load(unit, w.UNIT_TO)
        for k in range(load(unit, w.UNIT_TAP_COUNT)):
            source = load(args, w.P_FROM) + load(unit, w.UNIT_FROM) + load(load(unit, w.UNIT_TAPS), k)
            rows = load(unit, w.UNIT_ROWS)
            call6(
                load(args, w.P_COPY),
                to,
                source,
                load(args, w.P_STEP),
                rows,
                load(unit, w.UNIT_COLUMNS),
                vectors,
            )
            to += rows * load(args, w.P_ROW)


def add_parts_driver(args: int, part: int, parts: int, workspace: int) -> None:
    """The sum of the parts of a result, in their order."""
    count = load(args, w.S_COUNT)
    first, last = count * part // parts, count * (part + 1) // parts
    if last > first:
        call6(
            load(args, w.S_KERNEL),
            load(args, w.S_TO) + 4 * first,
            load(args, w.S_FROM) + 4 * first,
            load(args, w.S_STRIDE),
            load(args, w.S_PARTS),
            last - first,
            0,
        )
