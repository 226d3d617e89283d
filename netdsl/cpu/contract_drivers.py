"""The loops around the GEMM micro-kernels, as Python functions that Numba compiles.

Each takes the address of an argument block and a share (`part` of `parts`); the words of the blocks are
those of `contract_words`.  Unit after unit writes outputs of its own, so the bits
do not depend on the number of parts.  (`min` of two numbers would call back into Python.)
"""

from __future__ import annotations

from netdsl.cpu.contract_words import (
    A_GROUP,
    B_GROUP,
    B_PANEL,
    C_GROUP,
    C_PANEL,
    CALLS,
    CHUNK_B,
    CHUNKS,
    COLUMN_STRIDE,
    COLUMNS,
    DEPTH,
    DST,
    FIRST_A,
    FIRST_C,
    FRONT,
    FULL_DEPTH,
    FULL_HEIGHT,
    FULL_ROW,
    GROUP_STRIDE,
    GROUPS,
    HAS_BIAS,
    HEIGHT,
    IMAGES,
    IN,
    INIT,
    KERNELS,
    LEFT,
    LINE_A,
    LINE_C,
    LINE_FIRST,
    LINE_SECOND,
    LINE_WORDS,
    LINES,
    ORDER,
    OUT,
    P_GROUPS,
    P_PANELS,
    PANELS,
    RESIDUAL,
    ROW,
    ROW_STRIDE,
    ROWS,
    SRC,
    TABLE,
    TAP_TABLE,
    TAPS,
    TOP,
    WIDTH,
    A,
    B,
    C,
)
from netdsl.cpu.numba_ir import call7, load, load32, save32


def contract(args: int, part: int, parts: int) -> None:
    """Panels of columns times lines of rows; ORDER 0 keeps a panel of weights, 1 a line of rows."""
    groups, panels, lines = load(args, GROUPS), load(args, PANELS), load(args, LINES)
    chunks, table, calls, chunk_b = (
        load(args, CHUNKS),
        load(args, TABLE),
        load(args, CALLS),
        load(args, CHUNK_B),
    )
    weights_stay = load(args, ORDER) == 0
    outer, inner = panels, lines
    if not weights_stay:
        outer, inner = lines, panels
    units = groups * outer * inner
    first, last = units * part // parts, units * (part + 1) // parts
    while first < last:
        group_outer = first // inner
        begin = first - group_outer * inner
        end = inner if inner < begin + last - first else begin + last - first
        group = group_outer // outer
        at = group_outer - group * outer
        a0 = load(args, A) + group * load(args, A_GROUP)
        b0 = load(args, B) + group * load(args, B_GROUP)
        c_group = group * load(args, C_GROUP)
        for chunk in range(chunks):
            for k in range(begin, end):
                panel, line = at, k
                if not weights_stay:
                    panel, line = k, at
                row = table + 8 * LINE_WORDS * line
                offset = c_group + panel * load(args, C_PANEL)
                place = offset + load(row, LINE_C)
                a = a0 + load(row, LINE_A)
                b = b0 + panel * load(args, B_PANEL) + load(chunk_b, chunk)
                c = load(args, C) + place
                init = c
                if chunk == 0:
                    init = load(args, INIT)
                    if load(args, HAS_BIAS) != 0:
                        init += offset
                residual = load(args, RESIDUAL)
                if chunk < chunks - 1:
                    residual = 0
                if residual != 0:
                    residual += place
                ending = 1 if panel == panels - 1 else 0
                call = load(calls, 2 * chunk + ending)
                kernels = args + 8 * (KERNELS + 2 * ending)
                tiles = load(row, LINE_FIRST)
                if tiles > 0:
                    call7(load(kernels, 0), call, a, b, c, init, residual, tiles)
                    a += tiles * load(args, FIRST_A)
                    c += tiles * load(args, FIRST_C)
                    if chunk > 0:
                        init += tiles * load(args, FIRST_C)
                    if residual != 0:
                        residual += tiles * load(args, FIRST_C)
                tiles = load(row, LINE_SECOND)
                if tiles > 0:
                    call7(load(kernels, 1), call, a, b, c, init, residual, tiles)
        first += end - begin


def pack(args: int, part: int, parts: int) -> None:
    """Weights into panels `[group][panel][tap][row][WIDTH]`, the last panel filled up with zeros."""
    panels, taps, rows, columns = (
        load(args, P_PANELS),
        load(args, TAPS),
        load(args, ROWS),
        load(args, COLUMNS),
    )
    width, step = load(args, WIDTH), load(args, COLUMN_STRIDE)
    units = load(args, P_GROUPS) * panels * taps
    for unit in range(units * part // parts, units * (part + 1) // parts):
        group_panel = unit // taps
        tap = unit - group_panel * taps
        group = group_panel // panels
        panel = group_panel - group * panels
        first = panel * width
        count = width if width < columns - first else columns - first
        src = (
            load(args, SRC)
            + group * load(args, GROUP_STRIDE)
            + load(load(args, TAP_TABLE), tap)
            + first * step
        )
        dst = load(args, DST) + unit * rows * width * 4
        for _ in range(rows):
            for column in range(count):
                save32(dst + 4 * column, load32(src + column * step))
            for column in range(count, width):
                save32(dst + 4 * column, 0)
            src += load(args, ROW_STRIDE)
            dst += width * 4


def pad(args: int, part: int, parts: int) -> None:
    """Copy `[IMAGES, DEPTH, HEIGHT, ROW]` words of 4 bytes into the middle of zeros."""
    depth, height, row = load(args, DEPTH), load(args, HEIGHT), load(args, ROW)
    full_depth, full_height, full_row = load(args, FULL_DEPTH), load(args, FULL_HEIGHT), load(args, FULL_ROW)
    left = load(args, LEFT)
    units = load(args, IMAGES) * full_depth * full_height
    for unit in range(units * part // parts, units * (part + 1) // parts):
        plane = unit // full_height
        y = unit - plane * full_height - load(args, TOP)
        image = plane // full_depth
        z = plane - image * full_depth - load(args, FRONT)
        dst = load(args, OUT) + unit * full_row * 4
        begin, end = full_row, full_row
        if 0 <= y < height and 0 <= z < depth:
            begin, end = left, left + row
            src = load(args, IN) + ((image * depth + z) * height + y) * row * 4
            for k in range(row):
                save32(dst + 4 * (left + k), load32(src + 4 * k))
        for k in range(begin):
            save32(dst + 4 * k, 0)
        for k in range(end, full_row):
            save32(dst + 4 * k, 0)
