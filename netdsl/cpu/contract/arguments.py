"""The argument blocks of the drivers and kernels of contractions; strides are in bytes unless they say floats."""

from __future__ import annotations

from typing import Annotated

from netdsl.backend.arguments import NOWHERE, Address, Block, Code, Ints, Rows

# The workspace of a thread: the block of a micro-kernel's call, then packed operands, or Winograd's tiles.
CALL_BYTES, BUFFER_BYTES = 256, 192 * 1024
# Of Winograd: the block of the call of a transform and the square it goes through; then the tiles of a block of work,
# which stay in the second-level cache.
TILE_CALL_BYTES, TILE_SQUARE_BYTES, TILE_BYTES = 128, 2432, 384 * 1024
WORK_BYTES = max(BUFFER_BYTES, TILE_CALL_BYTES + TILE_SQUARE_BYTES + TILE_BYTES)
WORKSPACE_BYTES = CALL_BYTES + WORK_BYTES

# How the rows of a GEMM are found: in the source itself, in a padded copy of a band of it, or gathered one by one.
DIRECT, BAND, GATHER = range(3)


class RunRow(Block):
    """Terms of a sum that are contiguous in the source.

    Their number and, from the pixel, planes, rows and floats to the first; then where it goes in a gathered row.
    """

    length: int
    depth: int
    height: int
    start: int
    to: int


class Chunk(Block):
    """A chunk of the terms: taps of the micro-kernel in rows that lie in memory, and runs to gather.

    `heights` are the rows of the taps, so that those in the padding can be left out.
    """

    taps: Ints
    tap_count: int
    tap_run: int = 0
    b: int = 0
    runs: Rows[RunRow] = NOWHERE
    run_count: int = 0
    heights: Ints = NOWHERE


class Contraction(Block):
    """The source, its sizes and the rows of pixels that a correlation reads, and the panels of columns."""

    a: Address
    depth: int
    height: int
    row_floats: int
    row_end: int
    step_depth: int
    step_height: int
    step_floats: int
    count_depth: int
    count_height: int
    count_width: int
    planes: int
    rows: int
    block_rows: int
    block_width: int
    row_blocks: int
    column_blocks: int
    copy_runs: Code
    a_group: int
    groups: int
    chunk_count: int
    chunks: Rows[Chunk]
    pitch: int
    panels: int
    splits: int
    kernels: Code
    most: int
    last_kernels: Code
    last_most: int
    lanes: int
    last_tail: int


# Multiples of the stride of rows that a micro-kernel is told, see `gemm.a_rows`.
ODD_MULTIPLES = 7
OddMultiples = Annotated[Ints, ODD_MULTIPLES]


class GemmCall(Block):
    """Of a call of a micro-kernel.

    `tail` is how many columns of the last vector exist (1 to lanes), `ahead` how far behind each row of b the row is
    that is fetched for a later call.
    """

    a_step: int
    b_step: int
    c_row: int
    init_row: int
    taps: Address
    tap_count: int
    run: int
    tail: int
    ahead: int
    low: float
    high: float
    a_row: OddMultiples


class Banded(Contraction):
    """How a padded copy of a band of rows is made."""

    band_depths: Ints = NOWHERE
    band_planes: int = 0
    band_plane: int = 0
    band_height: int = 0
    band_top: int = 0
    band_start: int = 0
    band_span: int = 0


class Correlate(Banded):
    """Of `correlate`: weights, result, and how rows are found."""

    b: Address
    c: Address
    init: Address
    residual: Address = 0
    has_bias: bool
    low: float
    high: float
    mode: int
    merged: bool = False
    b_group: int
    b_panel: int
    b_step: int
    c_group: int
    c_panel: int
    c_origin: int
    c_image: int
    c_plane: int
    c_row: int
    c_pixel: int
    a_row: OddMultiples


class WeightGradient(Contraction):
    """Of `weight_gradient`: gradient of the result, result, and how the work is cut."""

    y: Address
    w: Address
    w_part: int
    w_row: int
    w_group: int
    y_group: int
    y_pixel: int
    y_columns: int
    panel_vectors: int
    parts: int
    copy_panel: Code
    zeros: Address
    one_tap: Ints
    y_buffer: int


class BandGradient(Banded):
    """Of `band_gradient`: gradient of the result, result, and the rows of the kernel.

    Each of `kernel_rows` has `terms`, and is read `tap_row` bytes of the band and written `w_tap` bytes behind the
    one before. `lines` are where the lines of a block begin in the band.
    """

    y: Address
    w: Address
    w_part: int
    w_row: int
    w_tap: int
    y_pixel: int
    y_columns: int
    panel_vectors: int
    parts: int
    copy_panel: Code
    zeros: Address
    lines: Ints
    terms: int
    kernel_rows: int
    tap_row: int
    y_buffer: int


class Unit(Block):
    """A panel, made of the rows at some taps."""

    to: int
    source: int
    taps: Ints
    tap_count: int
    rows: int
    columns: int


class Pack(Block):
    """Of `pack`."""

    to: Address
    source: Address
    unit_count: int
    units: Rows[Unit]
    copy: Code
    step: int
    vectors: int
    row: int


class AddParts(Block):
    """Of `add_parts_driver`: result = sum of the parts, in their order."""

    to: Address
    source: Address
    parts: int
    count: int
    stride: int
    kernel: Code


class DepthwiseCall(Block):
    """Of a call of a kernel of depthwise convolutions."""

    channels: int
    pixels: int
    low: float
    high: float
    x_pixel: int
    y_pixel: int
    w: Address


class Tap(Block):
    """A tap: where it is in the source, on an axis in pixels, in a call in bytes; and in the weights, in bytes."""

    at: int
    weight: int


class Depthwise(Block):
    """Of both drivers: `a` and `y` are source and result of a correlation, or input and gradient."""

    a: Address
    y: Address
    w: Address
    bias: Address = 0
    residual: Address = 0
    low: float = 0
    high: float = 0
    channels: int
    depth: int
    height: int
    width: int
    step_depth: int
    step_height: int
    step_width: int
    count_depth: int
    count_height: int
    count_width: int
    rows: int
    y_origin: int
    y_image: int
    y_plane: int
    y_row: int
    y_pixel: int
    a_pixel: int
    taps_depth: Rows[Tap]
    taps_height: Rows[Tap]
    taps_width: Rows[Tap]
    tap_count_depth: int
    tap_count_height: int
    tap_count_width: int
    inner_first: int
    inner_end: int
    parts: int = 0
    w_bytes: int = 0
    kernel: Code
    clear: Code = 0


class WinogradCall(Block):
    """Of a call of a kernel that transforms tiles: what does not change from tile to tile.

    Lines and pixels are those of the map, positions those of the transformed tile; `square` is memory to work in.
    """

    channels: int
    line: int
    pixel: int
    position: int
    square: Address
    low: float
    high: float


class Winograd(Block):
    """Of `winograd`: source, weights and result, tiles of `edge` pixels, and how they are cut into units of work.

    A unit is a block of tiles for a share of the panels of columns; it takes `chunk` channels at a time.
    """

    a: Address
    b: Address
    c: Address
    bias: Address = 0
    residual: Address = 0
    low: float
    high: float
    height: int
    width: int
    a_pixel: int
    origin_y: int
    origin_x: int
    rows: int
    columns: int
    c_pixel: int
    channels: int
    features: int
    edge: int
    tiles: int
    tile_rows: int
    tile_columns: int
    block_tiles: int
    splits: int
    chunk: int
    chunk_count: int
    panels: int
    panel_columns: int
    kernels: Code
    most: int
    last_kernels: Code
    last_most: int
    lanes: int
    b_step: int
    b_position: int
    b_panel: int
    v_row: int
    v_position: int
    m_start: int
    m_row: int
    m_position: int
    a_row: OddMultiples
    zeros: Address
    one_tap: Ints
    input_kernel: Code
    result_kernel: Code


class WinogradWeights(Block):
    """Of `winograd_weights`: panels of nine taps, `size` bytes each, and of the positions that they become."""

    to: Address
    source: Address
    panels: int
    size: int
    position: int
    kernel: Code
