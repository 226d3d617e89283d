"""The words of the argument blocks of depthwise convolutions."""

# The block of a call of a kernel.
(CALL_CHANNELS, CALL_PIXELS, CALL_LOW, CALL_HIGH, CALL_X_PIXEL, CALL_Y_PIXEL, CALL_W, CALL_WORDS) = range(8)

# The block of both drivers. A and Y are the source and the result of a correlation, or the input and the gradient.
(
    A,
    Y,
    W,
    BIAS,
    RESIDUAL,
    LOW,
    HIGH,
    CHANNELS,
    DEPTH,
    HEIGHT,
    WIDTH,
    STEP_DEPTH,
    STEP_HEIGHT,
    STEP_WIDTH,
    COUNT_DEPTH,
    COUNT_HEIGHT,
    COUNT_WIDTH,
    ROWS,
    Y_ORIGIN,
    Y_IMAGE,
    Y_PLANE,
    Y_ROW,
    Y_PIXEL,
    TAPS_DEPTH,
    TAPS_HEIGHT,
    TAPS_WIDTH,
    TAP_COUNT_DEPTH,
    TAP_COUNT_HEIGHT,
    TAP_COUNT_WIDTH,
    INNER_FIRST,
    INNER_END,
    PARTS,
    W_BYTES,
    KERNEL,
    CLEAR,
    WORDS,
) = range(36)
