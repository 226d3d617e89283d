"""The loops of weight gradients over padded bands, as a function that Numba compiles; see `contract.drivers`."""

from __future__ import annotations

import math

from netdsl.cpu.codegen.numba_ir import address, call6, inlined
from netdsl.cpu.contract.arguments import CALL_BYTES, ODD_MULTIPLES, BandGradient, GemmCall
from netdsl.cpu.contract.drivers import call_at, copy_band, tall_of, tiles_of


def band_gradient(args: BandGradient, part: int, parts: int, workspace: int) -> None:
    """Role "backward_weights": parts of the pixels, each with sums of its own, and shares of the panels."""
    call, buffer = call_at(workspace), workspace + CALL_BYTES
    call.a_step = 4 * args.step_floats
    call.b_step = 4 * args.panel_vectors * args.lanes
    call.c_row = args.w_row
    call.taps = address(args.lines)
    call.low = -math.inf
    call.high = math.inf
    for k in range(ODD_MULTIPLES):
        call.a_row[k] = 4 * (2 * k + 1)
    row_blocks, pieces, splits = args.row_blocks, args.parts, args.splits
    blocks, units = args.planes * row_blocks, pieces * splits
    for unit in range(units * part // parts, units * (part + 1) // parts):
        piece = unit // splits
        split = unit - piece * splits
        begin = blocks * piece // pieces
        for block in range(begin, blocks * (piece + 1) // pieces):
            plane = block // row_blocks
            first = (block - plane * row_blocks) * args.block_rows
            lines = args.rows - first
            if lines > args.block_rows:
                lines = args.block_rows
            row = plane * args.rows + first
            copy_band(args, buffer, row, lines, 0, args.count_width)
            call.tap_count = lines
            call.run = args.count_width
            _outer(args, call, buffer, row, lines, args.w + piece * args.w_part, split, block == begin)


@inlined
def _outer(
    args: BandGradient, call: GemmCall, band: int, row: int, lines: int, result: int, split: int, fresh: bool
) -> None:
    """Add the products of a band and of the gradients of its lines."""
    call.tail = args.lanes
    call.init_row = 0 if fresh else args.w_row
    panels, width = args.panels, args.panel_vectors * args.lanes
    kernels, most, pixels = args.kernels, args.most, lines * args.count_width
    copied = band + args.y_buffer
    y = args.y + row * args.count_width * args.y_pixel
    for panel in range(panels * split // args.splits, panels * (split + 1) // args.splits):
        columns = args.y_columns - panel * width
        if columns > width:
            columns = width
        if panel == panels - 1:
            call.tail = args.last_tail
            kernels, most = args.last_kernels, args.last_most
        call6(
            args.copy_panel, copied, y + 4 * panel * width, args.y_pixel, pixels, columns, args.panel_vectors
        )
        for k in range(args.kernel_rows):
            c = result + k * args.w_tap + 4 * panel * width
            init = args.zeros if fresh else c
            a = band + k * args.tap_row
            tiles_of(kernels, tall_of(args.terms, most), call, a, copied, c, init, 0, args.terms)
