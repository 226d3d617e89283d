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
