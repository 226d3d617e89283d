"""The kernel of `jpeg`: compression with losses (ITU-T T.81), with the tables and the sampling of libjpeg."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.data.augment.layout import ACTIVE, FIRST, LOOK, WHITE
from netdsl.native.numba_ir import doubles, floats, inlined

ZERO = np.float32(0)
#: Tables K.1 and K.2, row by row
LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip
CHROMINANCE = np.array([
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
])  # fmt: skip
# Where things lie in the scratch memory: the matrix of the transform and its transpose, two tables, two
# blocks, the planes, whose numbers are 128 less.
COSINES, TURNED, TABLES, BLOCK, OTHER, PLANES = 0, 64, 128, 256, 320, 384


@inlined
def _prepare(t: Any, quality: int) -> None:
    """Write the matrix of the cosine transform, its transpose, and the tables of a quality by libjpeg's rule."""
    for k in range(8):
        for i in range(8):
            value = np.float32(
                math.cos((2 * i + 1) * k * math.pi / 16) * (math.sqrt(0.125) if k == 0 else 0.5)
            )
            t[COSINES + 8 * k + i] = value
            t[TURNED + 8 * i + k] = value
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    for k in range(64):
        t[TABLES + k] = np.float32(min(max((LUMINANCE[k] * scale + 50) // 100, 1), 255))
        t[TABLES + 64 + k] = np.float32(min(max((CHROMINANCE[k] * scale + 50) // 100, 1), 255))


@inlined
def _nearest(x: Any) -> Any:
    """The nearest whole number, of two the even one, for numbers below 2**22: adding drops the fraction."""
    return (x + np.float32(12582912)) - np.float32(12582912)


@inlined
def _times(t: Any, left: int, step: int, right: int, pitch: int, to: int, stride: int) -> None:
    """The product of two matrices 8 x 8, rows of which are so far apart; it may replace the left one."""
    for i in range(8):
        a = b = c = d = e = f = g = h = ZERO
        for k in range(8):
            x, r = t[left + i * step + k], right + k * pitch
            a, b, c, d = a + x * t[r], b + x * t[r + 1], c + x * t[r + 2], d + x * t[r + 3]
            e, f, g, h = e + x * t[r + 4], f + x * t[r + 5], g + x * t[r + 6], h + x * t[r + 7]
        o = to + i * stride
        t[o], t[o + 1], t[o + 2], t[o + 3] = a, b, c, d
        t[o + 4], t[o + 5], t[o + 6], t[o + 7] = e, f, g, h


@inlined
def _block(t: Any, at: int, width: int, table: int) -> None:
    """Transform 8 x 8 numbers of a plane, round them by the table, and transform back."""
    _times(t, at, width, TURNED, 8, BLOCK, 8)
    _times(t, COSINES, 8, BLOCK, 8, OTHER, 8)
    for k in range(64):
        t[OTHER + k] = _nearest(t[OTHER + k] / t[table + k]) * t[table + k]
    _times(t, OTHER, 8, COSINES, 8, BLOCK, 8)
    _times(t, TURNED, 8, BLOCK, 8, at, width)
    for i in range(8):
        for j in range(8):
            p = at + i * width + j
            t[p] = min(max(_nearest(t[p]), np.float32(-128)), np.float32(127))


@inlined
def _blocks(t: Any, at: int, height: int, width: int, table: int) -> None:
    for row in range(0, height, 8):
        for column in range(0, width, 8):
            _block(t, at + row * width + column, width, table)


@inlined
def _smooth(t: Any, at: int, row: int, column: int, height: int, width: int) -> Any:
    """A value of a plane of half the size at a pixel: 9, 3, 3 and 1 sixteenths of the nearest four."""
    y, x = row // 2, column // 2
    other_y = min(max(y - 1 if row % 2 == 0 else y + 1, 0), height - 1)
    other_x = min(max(x - 1 if column % 2 == 0 else x + 1, 0), width - 1)
    near = np.float32(3) * t[at + y * width + x] + t[at + other_y * width + x]
    far = np.float32(3) * t[at + y * width + other_x] + t[at + other_y * width + other_x]
    return (np.float32(3) * near + far) * np.float32(1 / 16)


@inlined
def _colours(x: Any, base: int, t: Any, height: int, width: int, white: Any) -> None:
    """Three channels, the colour at half the size."""
    rows, columns = (height + 15) // 16 * 16, (width + 15) // 16 * 16
    half, small = columns // 2, rows * columns // 4
    luma, blue, red = PLANES, PLANES + rows * columns, PLANES + rows * columns + small
    scale = np.float32(255) / white
    for i in range(2 * small):
        t[blue + i] = ZERO
    for row in range(rows):
        for column in range(columns):
            i = base + (min(row, height - 1) * width + min(column, width - 1)) * 3
            r, g, b = _nearest(x[i] * scale), _nearest(x[i + 1] * scale), _nearest(x[i + 2] * scale)
            y = np.float32(0.299) * r + np.float32(0.587) * g + np.float32(0.114) * b
            t[luma + row * columns + column] = _nearest(y) - np.float32(128)
            place = row // 2 * half + column // 2
            t[blue + place] += _nearest((b - y) * np.float32(0.5 / 0.886))
            t[red + place] += _nearest((r - y) * np.float32(0.5 / 0.701))
    for i in range(2 * small):  # libjpeg rounds halves down and up in turn
        t[blue + i] = np.float32(math.floor((t[blue + i] + np.float32(1 + i % 2)) * np.float32(0.25)))
    _blocks(t, luma, rows, columns, TABLES)
    _blocks(t, blue, rows // 2, half, TABLES + 64)
    _blocks(t, red, rows // 2, half, TABLES + 64)
    for row in range(height):
        for column in range(width):
            y = t[luma + row * columns + column] + np.float32(128)
            b = _smooth(t, blue, row, column, rows // 2, half)
            r = _smooth(t, red, row, column, rows // 2, half)
            i = base + (row * width + column) * 3
            back = white / np.float32(255)
            x[i] = min(max(_nearest(y + np.float32(1.402) * r), ZERO), np.float32(255)) * back
            green = y - np.float32(0.344136) * b - np.float32(0.714136) * r
            x[i + 1] = min(max(_nearest(green), ZERO), np.float32(255)) * back
            x[i + 2] = min(max(_nearest(y + np.float32(1.772) * b), ZERO), np.float32(255)) * back


@inlined
def _grey(x: Any, base: int, t: Any, height: int, width: int, channels: int, white: Any) -> None:
    """One channel."""
    rows, columns, scale = (height + 7) // 8 * 8, (width + 7) // 8 * 8, np.float32(255) / white
    for row in range(rows):
        for column in range(columns):
            i = base + (min(row, height - 1) * width + min(column, width - 1)) * channels
            t[PLANES + row * columns + column] = _nearest(x[i] * scale) - np.float32(128)
    _blocks(t, PLANES, rows, columns, TABLES)
    for row in range(height):
        for column in range(width):
            x[base + (row * width + column) * channels] = (
                t[PLANES + row * columns + column] + np.float32(128)
            ) / scale


def jpeg(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Compressed and read again: colours where there are three channels, else each channel by itself."""
    x, n, t = floats(pixels), doubles(rows), floats(scratch)
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, base = np.float32(n[s * LOOK + WHITE]), s * height * width * channels
            _prepare(t, int(n[s * LOOK + FIRST]))
            if channels == 3:
                _colours(x, base, t, height, width, white)
            else:
                for c in range(channels):
                    _grey(x, base + c, t, height, width, channels, white)
