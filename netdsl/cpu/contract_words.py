"""The words of the argument blocks that the planner of contractions fills and the drivers read."""

# words of the block of `contract`
A, B, C, INIT, RESIDUAL = 0, 1, 2, 3, 4
GROUPS, PANELS, LINES, CHUNKS, ORDER = 5, 6, 7, 8, 9
TABLE, CALLS, CHUNK_B = 10, 11, 12
A_GROUP, B_GROUP, B_PANEL, C_GROUP, C_PANEL = 13, 14, 15, 16, 17
FIRST_A, FIRST_C, HAS_BIAS = 18, 19, 20
# kernels for the first and the second height of tiles, then the same for the last panel, which may be narrower
KERNELS = 21
CONTRACT_WORDS = 25
# words of a line in TABLE
LINE_A, LINE_C, LINE_FIRST, LINE_SECOND, LINE_WORDS = 0, 1, 2, 3, 4
# words of the block of `pack`
SRC, DST, P_GROUPS, P_PANELS, TAPS, ROWS, COLUMNS, WIDTH, TAP_TABLE = 0, 1, 2, 3, 4, 5, 6, 7, 8
ROW_STRIDE, COLUMN_STRIDE, GROUP_STRIDE = 9, 10, 11
PACK_WORDS = 12
# words of the block of `pad`
IN, OUT, IMAGES, DEPTH, HEIGHT, ROW = 0, 1, 2, 3, 4, 5
FRONT, TOP, LEFT, FULL_DEPTH, FULL_HEIGHT, FULL_ROW = 6, 7, 8, 9, 10, 11
PAD_WORDS = 12
