"""The loops around the kernels of depthwise convolutions, as Python functions that Numba compiles."""

from __future__ import annotations

from netdsl.cpu.codegen.numba_ir import call6, call7, inlined, load, save
from netdsl.cpu.contract import depthwise_words as w
from netdsl.cpu.contract.words import CALL_BYTES


@inlined
def _taps(args: int, table: int, z: int, y: int, first: int, last: int) -> int:
    """Write the taps that all pixels `first` to `last` of a row have inside of the source; returns how many."""
    found = 0
    pixel = load(args, w.A_PIXEL)
    for i in range(load(args, w.TAP_COUNT_DEPTH)):
        tap_z = load(args, w.TAPS_DEPTH) + 16 * i
        in_z = z * load(args, w.STEP_DEPTH) + load(tap_z, 0)
        for j in range(load(args, w.TAP_COUNT_HEIGHT)):
            tap_y = load(args, w.TAPS_HEIGHT) + 16 * j
            in_y = y * load(args, w.STEP_HEIGHT) + load(tap_y, 0)
            if 0 <= in_z < load(args, w.DEPTH) and 0 <= in_y < load(args, w.HEIGHT):
                for k in range(load(args, w.TAP_COUNT_WIDTH)):
                    tap_x = load(args, w.TAPS_WIDTH) + 16 * k
                    begin = first * load(args, w.STEP_WIDTH) + load(tap_x, 0)
                    end = (last - 1) * load(args, w.STEP_WIDTH) + load(tap_x, 0)
                    if begin >= 0 and end < load(args, w.WIDTH):
                        row = in_z * load(args, w.HEIGHT) + in_y
                        save(table, 2 * found, (row * load(args, w.WIDTH) + begin) * pixel)
                        save(table, 2 * found + 1, load(tap_z, 1) + load(tap_y, 1) + load(tap_x, 1))
                        found += 1
    return found


@inlined
def _stretch(args: int, x: int) -> int:
    """The end of the stretch of pixels that starts at x: all inner ones, or a single one at the border."""
    if x == load(args, w.INNER_FIRST) and load(args, w.INNER_END) > x:
        x = load(args, w.INNER_END) - 1
    return x + 1


@inlined
def _call(args: int, call: int) -> None:
    """Fill in what all calls share."""
    save(call, w.CALL_CHANNELS, load(args, w.CHANNELS))
    save(call, w.CALL_LOW, load(args, w.LOW))
    save(call, w.CALL_HIGH, load(args, w.HIGH))
    save(call, w.CALL_X_PIXEL, load(args, w.STEP_WIDTH) * load(args, w.A_PIXEL))
    save(call, w.CALL_Y_PIXEL, load(args, w.Y_PIXEL))
    save(call, w.CALL_W, load(args, w.W))


def depthwise(args: int, part: int, parts: int, workspace: int) -> None:
    """Roles "forward" and "backward_data": rows of results."""
    call, table = workspace, workspace + CALL_BYTES
    _call(args, call)
    rows = load(args, w.ROWS)
    image_bytes = load(args, w.A_PIXEL) * load(args, w.DEPTH) * load(args, w.HEIGHT) * load(args, w.WIDTH)
    for row in range(rows * part // parts, rows * (part + 1) // parts):
        plane = row // load(args, w.COUNT_HEIGHT)
        y = row - plane * load(args, w.COUNT_HEIGHT)
        image = plane // load(args, w.COUNT_DEPTH)
        z = plane - image * load(args, w.COUNT_DEPTH)
        place = load(args, w.Y_ORIGIN) + image * load(args, w.Y_IMAGE)
        place += z * load(args, w.Y_PLANE) + y * load(args, w.Y_ROW)
        source = load(args, w.A) + image * image_bytes
        x = 0
        while x < load(args, w.COUNT_WIDTH):
            end = _stretch(args, x)
            save(call, w.CALL_PIXELS, end - x)
            count = _taps(args, table, z, y, x, end)
            at = place + x * load(args, w.Y_PIXEL)
            residual = load(args, w.RESIDUAL)
            if residual != 0:
                residual += at
            call7(
                load(args, w.KERNEL),
                call,
                source,
                load(args, w.Y) + at,
                table,
                count,
                load(args, w.BIAS),
                residual,
            )
            x = end


def depthwise_gradient(args: int, part: int, parts: int, workspace: int) -> None:
    """Role "backward_weights": parts of the rows, each with a sum of its own."""
    call, table = workspace, workspace + CALL_BYTES
    _call(args, call)
    rows, pieces, size = load(args, w.ROWS), load(args, w.PARTS), load(args, w.W_BYTES)
    image_bytes = load(args, w.A_PIXEL) * load(args, w.DEPTH) * load(args, w.HEIGHT) * load(args, w.WIDTH)
    for piece in range(pieces * part // parts, pieces * (part + 1) // parts):
        result = load(args, w.W) + piece * size
        save(call, w.CALL_W, result)
        call6(load(args, w.CLEAR), result, result, 0, 0, size // 4, 0)
        for row in range(rows * piece // pieces, rows * (piece + 1) // pieces):
            plane = row // load(args, w.COUNT_HEIGHT)
            y = row - plane * load(args, w.COUNT_HEIGHT)
            image = plane // load(args, w.COUNT_DEPTH)
            z = plane - image * load(args, w.COUNT_DEPTH)
            x = 0
            while x < load(args, w.COUNT_WIDTH):
                end = _stretch(args, x)
                save(call, w.CALL_PIXELS, end - x)
                count = _taps(args, table, z, y, x, end)
                gradient = load(args, w.Y) + (row * load(args, w.COUNT_WIDTH) + x) * load(args, w.Y_PIXEL)
                call6(
                    load(args, w.KERNEL),
                    call,
                    load(args, w.A) + image * image_bytes,
                    gradient,
                    table,
                    count,
                    0,
                )
                x = end
