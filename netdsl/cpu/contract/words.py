"""The words of the argument blocks that the planner of contractions fills and the drivers read.

Names of addresses are those of operands and tables; strides are in bytes unless they say floats.
"""

# The workspace of a thread: the block of a micro-kernel's call, then packed operands.
CALL_BYTES, BUFFER_BYTES = 256, 192 * 1024
WORKSPACE_BYTES = CALL_BYTES + BUFFER_BYTES

# How the rows of a GEMM are found: in the source itself, in a padded copy of a band of it, or gathered one by one.
DIRECT, BAND, GATHER = range(3)

# Terms of a sum that are contiguous in the source (a run): length in floats and, from the pixel, planes, rows and
# floats to its first; then where it goes in a gathered row.
RUN_LENGTH, RUN_DEPTH, RUN_HEIGHT, RUN_START, RUN_TO, RUN_WORDS = range(6)

# A chunk of the terms: taps of the micro-kernel in rows that lie in memory, and runs to gather. HEIGHTS, if not 0,
# are the rows of the taps, so that those in the padding can be left out.
(
    CHUNK_TAPS,
    CHUNK_TAP_COUNT,
    CHUNK_TAP_RUN,
    CHUNK_B,
    CHUNK_RUNS,
    CHUNK_RUN_COUNT,
    CHUNK_HEIGHTS,
    CHUNK_WORDS,
) = range(8)

# The source: sizes, and the rows of pixels that a correlation reads.
(
    A,
    DEPTH,
    HEIGHT,
    ROW_FLOATS,
    ROW_END,
    STEP_DEPTH,
    STEP_HEIGHT,
    STEP_FLOATS,
    COUNT_DEPTH,
    COUNT_HEIGHT,
    COUNT_WIDTH,
    PLANES,
    ROWS,
    BLOCK_ROWS,
    BLOCK_WIDTH,
    ROW_BLOCKS,
    COLUMN_BLOCKS,
    COPY_RUNS,
    A_GROUP,
    GROUPS,
    CHUNKS,
    CHUNK_TABLE,
    PITCH,
    SOURCE_WORDS,
) = range(24)

# `correlate`, after the source: weights, result, and the tiles.
(
    B,
    C,
    INIT,
    RESIDUAL,
    HAS_BIAS,
    LOW,
    HIGH,
    MODE,
    MERGED,
    SPLITS,
    PANELS,
    B_GROUP,
    B_PANEL,
    B_STEP,
    C_GROUP,
    C_PANEL,
    C_ORIGIN,
    C_IMAGE,
    C_PLANE,
    C_ROW,
    C_PIXEL,
    KERNELS,
    MOST,
    LAST_KERNELS,
    LAST_MOST,
    LANES,
    LAST_TAIL,
    BAND_DEPTHS,
    BAND_PLANES,
    BAND_PLANE,
    BAND_HEIGHT,
    BAND_TOP,
    BAND_START,
    BAND_SPAN,
    A_ROW,
    CORRELATE_WORDS,
) = range(SOURCE_WORDS, SOURCE_WORDS + 36)
A_ROW_WORDS = 7
CORRELATE_WORDS += A_ROW_WORDS - 1

# `weight_gradient`, after the source: gradient of the result, result, and how the work is cut.
(
    Y,
    W,
    W_PART,
    W_ROW,
    W_GROUP,
    W_PANEL,
    Y_GROUP,
    Y_PIXEL,
    Y_COLUMNS,
    G_PANELS,
    G_PANEL_VECTORS,
    G_KERNELS,
    G_MOST,
    G_LAST_KERNELS,
    G_LAST_MOST,
    G_LANES,
    G_LAST_TAIL,
    G_SPLITS,
    G_PARTS,
    COPY_PANEL,
    ZEROS,
    ONE_TAP,
    Y_BUFFER,
    GRADIENT_WORDS,
) = range(SOURCE_WORDS, SOURCE_WORDS + 24)

# `pack`: panels, each made of the rows at some taps.
P_TO, P_FROM, P_UNITS, P_TABLE, P_COPY, P_STEP, P_VECTORS, P_ROW, PACK_WORDS = range(9)
UNIT_TO, UNIT_FROM, UNIT_TAPS, UNIT_TAP_COUNT, UNIT_ROWS, UNIT_COLUMNS, UNIT_WORDS = range(7)

# `add_parts`: result = sum of the parts, in their order.
S_TO, S_FROM, S_PARTS, S_COUNT, S_STRIDE, S_KERNEL, SUM_WORDS = range(7)
