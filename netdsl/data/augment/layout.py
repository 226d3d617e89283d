"""Numbers that kernels and those who call them agree on."""

from __future__ import annotations

from netdsl.data.augment.settings import BORDERS, INTERPOLATIONS

CONSTANT, REFLECT, EDGE, WRAP = range(len(BORDERS))
NEAREST, BILINEAR, BICUBIC = range(len(INTERPOLATIONS))

# A row of numbers for the kernel that samples: the map, how many points along each axis a pixel is the mean of, the
# value outside, and the bounds of values.
MAP, TAPS, FILL, LOW, HIGH = 0, 9, 10, 11, 12
ROW = 13

# A row of numbers for the kernels of appearance: whether it is made, full intensity, and up to four numbers.
ACTIVE, WHITE, FIRST = 0, 1, 2
LOOK = 6

#: where the rows that `jpeg` works on lie in its scratch memory, behind its tables
JPEG = 512

#: How far the border reaches that is put around a picture before it is sampled: what lies between two pixels of which
#: one is outside is computed from it, and further out all is the same.
MARGIN = 4
#: Rows that come to so many pixels are worked on together: a loop over a short row costs more than what is in it.
STRIP = 512
#: arrays of doubles, one number for a pixel of a strip, that the kernel that samples needs beside the picture
LINES = 6


def sampling(height: int, width: int, new_height: int, new_width: int, channels: int) -> int:
    """How many float32 the kernel that samples needs: its lines, and a picture with its border."""
    strip = max(1, min(new_height, STRIP // new_width)) * new_width
    return 2 * LINES * strip + channels * (height + 2 * MARGIN) * (width + 2 * MARGIN)


def blurring(height: int, width: int, down: int, across: int) -> int:
    """How many float32 a blur needs that reaches so far: two strips, and a picture with its border."""
    return 2 * max(STRIP, width + 2 * across) + (height + 2 * down) * width
