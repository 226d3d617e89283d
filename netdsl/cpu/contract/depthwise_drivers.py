"""The loops around the kernels of depthwise convolutions, as Python functions that Numba compiles."""

from __future__ import annotations

from netdsl.backend.arguments import Rows
from netdsl.cpu.codegen.numba_ir import address, block_at, call6, call7, inlined, rows_at
from netdsl.cpu.contract.arguments import CALL_BYTES, Depthwise, DepthwiseCall, Tap

call_at, taps_at = block_at(DepthwiseCall), rows_at(Tap)


@inlined
def _taps(args: Depthwise, taps: Rows[Tap], z: int, y: int, first: int, last: int) -> int:
    """Write the taps that all pixels `first` to `last` of a row have inside of the source; returns how many."""
    found = 0
    pixel = args.a_pixel
    for i in range(args.tap_count_depth):
        tap_z = args.taps_depth[i]
        in_z = z * args.step_depth + tap_z.at
        for j in range(args.tap_count_height):
            tap_y = args.taps_height[j]
            in_y = y * args.step_height + tap_y.at
            if 0 <= in_z < args.depth and 0 <= in_y < args.height:
                for k in range(args.tap_count_width):
                    tap_x = args.taps_width[k]
                    begin = first * args.step_width + tap_x.at
                    end = (last - 1) * args.step_width + tap_x.at
                    if begin >= 0 and end < args.width:
                        row = in_z * args.height + in_y
                        taps[found].at = (row * args.width + begin) * pixel
                        taps[found].weight = tap_z.weight + tap_y.weight + tap_x.weight
                        found += 1
    return found


@inlined
def _stretch(args: Depthwise, x: int) -> int:
    """The end of the stretch of pixels that starts at x: all inner ones, or a single one at the border."""
    if x == args.inner_first and args.inner_end > x:
        x = args.inner_end - 1
    return x + 1


@inlined
def _call(args: Depthwise, call: DepthwiseCall) -> None:
    """Fill in what all calls share."""
    call.channels = args.channels
    call.low = args.low
    call.high = args.high
    call.x_pixel = args.step_width * args.a_pixel
    call.y_pixel = args.y_pixel
    call.w = args.w


def depthwise(args: Depthwise, part: int, parts: int, workspace: int) -> None:
    """Roles "forward" and "backward_data": rows of results."""
    call, taps = call_at(workspace), taps_at(workspace + CALL_BYTES)
    _call(args, call)
    rows = args.rows
    image_bytes = args.a_pixel * args.depth * args.height * args.width
    for row in range(rows * part // parts, rows * (part + 1) // parts):
        plane = row // args.count_height
        y = row - plane * args.count_height
        image = plane // args.count_depth
        z = plane - image * args.count_depth
        place = args.y_origin + image * args.y_image
        place += z * args.y_plane + y * args.y_row
        source = args.a + image * image_bytes
        x = 0
        while x < args.count_width:
            end = _stretch(args, x)
            call.pixels = end - x
            count = _taps(args, taps, z, y, x, end)
            at = place + x * args.y_pixel
            residual = args.residual
            if residual != 0:
                residual += at
            call7(
                args.kernel,
                address(call),
                source,
                args.y + at,
                address(taps),
                count,
                args.bias,
                residual,
            )
            x = end


def depthwise_gradient(args: Depthwise, part: int, parts: int, workspace: int) -> None:
    """Role "backward_weights": parts of the rows, each with a sum of its own."""
    call, taps = call_at(workspace), taps_at(workspace + CALL_BYTES)
    _call(args, call)
    rows, pieces, size = args.rows, args.parts, args.w_bytes
    image_bytes = args.a_pixel * args.depth * args.height * args.width
    for piece in range(pieces * part // parts, pieces * (part + 1) // parts):
        result = args.w + piece * size
        call.w = result
        call6(args.clear, result, result, 0, 0, size // 4, 0)
        for row in range(rows * piece // pieces, rows * (piece + 1) // pieces):
            plane = row // args.count_height
            y = row - plane * args.count_height
            image = plane // args.count_depth
            z = plane - image * args.count_depth
            x = 0
            while x < args.count_width:
                end = _stretch(args, x)
                call.pixels = end - x
                count = _taps(args, taps, z, y, x, end)
                gradient = args.y + (row * args.count_width + x) * args.y_pixel
                call6(
                    args.kernel,
                    address(call),
                    args.a + image * image_bytes,
                    gradient,
                    address(taps),
                    count,
                    0,
                )
                x = end
