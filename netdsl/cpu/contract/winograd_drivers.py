"""The loops around Winograd's transforms and the GEMMs between them, as Python functions that Numba compiles.

A unit of work is a block of tiles and a share of the columns. Its tiles are transformed, multiplied in each
position, and transformed back, all in the caches of the thread. A tile is transformed again for each share.
"""

from __future__ import annotations

import math

from netdsl.cpu.codegen.numba_ir import address, block_at, call6, call7, inlined
from netdsl.cpu.contract.arguments import (
    CALL_BYTES,
    ODD_MULTIPLES,
    TILE_CALL_BYTES,
    TILE_SQUARE_BYTES,
    GemmCall,
    Winograd,
    WinogradCall,
    WinogradWeights,
)
from netdsl.cpu.contract.drivers import tall_of, tiles_of

gemm_call_at, tile_call_at = block_at(GemmCall), block_at(WinogradCall)


@inlined
def _fill_calls(args: Winograd, call: GemmCall, tile: WinogradCall, square: int) -> None:
    """Fill in what all calls share."""
    call.a_step = 4
    call.b_step = args.b_step
    call.c_row = args.m_row
    call.taps = address(args.one_tap)
    call.tap_count = 1
    call.tail = args.lanes
    call.low = -math.inf
    call.high = math.inf
    for k in range(ODD_MULTIPLES):
        call.a_row[k] = args.a_row[k]
    tile.square = square
    tile.low = args.low
    tile.high = args.high


@inlined
def _transform(args: Winograd, call: WinogradCall, to: int, first: int, tiles: int, channel: int) -> None:
    """The positions of tiles, of `call.channels` channels from `channel` on."""
    edge, size = args.edge, args.edge + 2
    call.pixel = args.a_pixel
    call.line = args.width * args.a_pixel
    call.position = args.v_position
    per_image = args.tile_rows * args.tile_columns
    for number in range(first, first + tiles):
        image = number // per_image
        rest = number - image * per_image
        row = rest // args.tile_columns
        y = row * edge + args.origin_y
        x = (rest - row * args.tile_columns) * edge + args.origin_x
        bottom, right = args.height - y, args.width - x
        if bottom > size:
            bottom = size
        if right > size:
            right = size
        source = args.a + ((image * args.height + y) * args.width + x) * args.a_pixel + 4 * channel
        top = -y if y < 0 else 0
        left = -x if x < 0 else 0
        place = to + (number - first) * args.v_row
        call7(args.input_kernel, address(call), source, place, top, bottom, left, right)


@inlined
def _multiply(
    args: Winograd, call: GemmCall, buffer: int, tiles: int, channel: int, count: int, first: int, last: int
) -> None:
    """For each position the products of the tiles and panels `first` to `last`, of `count` channels."""
    call.run = count
    call.init_row = args.m_row if channel > 0 else 0
    results = buffer + args.m_start
    for position in range((args.edge + 2) * (args.edge + 2)):
        kernels, most = args.kernels, args.most
        b = args.b + position * args.b_position + channel * args.b_step + first * args.b_panel
        c = results + position * args.m_position
        for panel in range(first, last):
            if panel == args.panels - 1:
                kernels, most = args.last_kernels, args.last_most
            init = c if channel > 0 else args.zeros
            call.ahead = args.b_panel
            if panel == last - 1:
                call.ahead = args.b_position - (last - 1 - first) * args.b_panel
            a = buffer + position * args.v_position
            tiles_of(kernels, tall_of(tiles, most), call, a, b, c, init, 0, tiles)
            b += args.b_panel
            c += 4 * args.panel_columns


@inlined
def _transform_back(
    args: Winograd, call: WinogradCall, results: int, first: int, tiles: int, column: int
) -> None:
    """The pixels of tiles, of `call.channels` columns from `column` on."""
    edge, pixel = args.edge, args.c_pixel
    call.pixel = pixel
    call.line = args.columns * pixel
    call.position = args.m_position
    per_image = args.tile_rows * args.tile_columns
    bias = args.bias
    if bias != 0:
        bias += 4 * column
    for number in range(first, first + tiles):
        image = number // per_image
        rest = number - image * per_image
        row = rest // args.tile_columns
        y = row * edge
        x = (rest - row * args.tile_columns) * edge
        rows, columns = args.rows - y, args.columns - x
        if rows > edge:
            rows = edge
        if columns > edge:
            columns = edge
        place = ((image * args.rows + y) * args.columns + x) * pixel + 4 * column
        residual = args.residual
        if residual != 0:
            residual += place
        source = results + (number - first) * args.m_row
        call7(args.result_kernel, address(call), source, args.c + place, residual, bias, rows, columns)


def winograd(args: Winograd, part: int, parts: int, workspace: int) -> None:
    """Roles "forward" and "backward_data": blocks of tiles times shares of the panels."""
    call, tile = gemm_call_at(workspace), tile_call_at(workspace + CALL_BYTES)
    square = workspace + CALL_BYTES + TILE_CALL_BYTES
    buffer = square + TILE_SQUARE_BYTES
    _fill_calls(args, call, tile, square)
    blocks = (args.tiles + args.block_tiles - 1) // args.block_tiles
    units = blocks * args.splits
    for unit in range(units * part // parts, units * (part + 1) // parts):
        split = unit // blocks
        first = (unit - split * blocks) * args.block_tiles
        tiles = args.tiles - first
        if tiles > args.block_tiles:
            tiles = args.block_tiles
        begin, end = args.panels * split // args.splits, args.panels * (split + 1) // args.splits
        for chunk in range(args.chunk_count):
            channel = chunk * args.chunk
            count = args.channels - channel
            if count > args.chunk:
                count = args.chunk
            tile.channels = count
            _transform(args, tile, buffer, first, tiles, channel)
            _multiply(args, call, buffer, tiles, channel, count, begin, end)
        column = begin * args.panel_columns
        columns = args.features - column
        if columns > (end - begin) * args.panel_columns:
            columns = (end - begin) * args.panel_columns
        tile.channels = columns
        _transform_back(args, tile, buffer + args.m_start, first, tiles, column)


def winograd_weights(args: WinogradWeights, part: int, parts: int, workspace: int) -> None:
    """The positions of the weights, panel by panel."""
    panels = args.panels
    for panel in range(panels * part // parts, panels * (part + 1) // parts):
        call6(
            args.kernel,
            args.to + panel * args.size,
            args.position,
            args.source + panel * 9 * args.size,
            args.size,
            workspace,
            0,
        )
