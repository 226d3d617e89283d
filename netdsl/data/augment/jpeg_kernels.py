"""The kernel of `jpeg`: compression with losses (ITU-T T.81), with the tables and the sampling of libjpeg."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.data.augment.layout import ACTIVE, FIRST, JPEG, LOOK, WHITE
from netdsl.native.numba_ir import doubles, floats, inlined

ZERO, BYTE = np.float32(0), np.float32(255)
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
# Where things lie in the scratch memory: the matrix of the transform and its transpose, two tables, what is 1 divided
# by them, two blocks, the rows that are in work, the planes, whose numbers are 128 less.
COSINES, TURNED, TABLES, PARTS, BLOCK, OTHER, LINES = 0, 64, 128, 256, 384, 448, JPEG


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
    for k in range(128):
        entry = LUMINANCE[k] if k < 64 else CHROMINANCE[k - 64]
        t[TABLES + k] = np.float32(min(max((entry * scale + 50) // 100, 1), 255))
        t[PARTS + k] = np.float32(1) / t[TABLES + k]


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
def _blocks(t: Any, at: int, height: int, width: int, table: int) -> None:
    """Transform the blocks of a plane, round them by a table (0: luminance, 64: chrominance), and transform back."""
    for row in range(0, height, 8):
        for column in range(0, width, 8):
            o = at + row * width + column
            _times(t, o, width, TURNED, 8, BLOCK, 8)
            _times(t, COSINES, 8, BLOCK, 8, OTHER, 8)
            for k in range(64):
                t[OTHER + k] = _nearest(t[OTHER + k] * t[PARTS + table + k]) * t[TABLES + table + k]
            _times(t, OTHER, 8, COSINES, 8, BLOCK, 8)
            _times(t, TURNED, 8, BLOCK, 8, o, width)
    for i in range(at, at + height * width):
        t[i] = min(max(_nearest(t[i]), np.float32(-128)), np.float32(127))


@inlined
def _padded(t: Any, at: int, count: int, width: int) -> None:
    """Repeat the last number of a row up to a width."""
    for i in range(count, width):
        t[at + i] = t[at + count - 1]


@inlined
def _halved(t: Any, row: int, to: int, half: int) -> None:
    """Add the sums of pairs of a row to a row of half the size."""
    for i in range(half):
        t[to + i] += t[row + 2 * i] + t[row + 2 * i + 1]


@inlined
def _doubled(t: Any, near: int, far: int, half: int, line: int, to: int) -> None:
    """A row of twice the size: 9, 3, 3 and 1 sixteenths of the nearest four of two rows; `line`: room for one."""
    for i in range(half):
        t[line + 1 + i] = (np.float32(3) * t[near + i] + t[far + i]) * np.float32(1 / 16)
    t[line], t[line + half + 1] = t[line + 1], t[line + half]
    for i in range(half):
        own = np.float32(3) * t[line + 1 + i]
        t[to + 2 * i], t[to + 2 * i + 1] = own + t[line + i], own + t[line + 2 + i]


@inlined
def _parted(
    r: Any, g: Any, b: Any, t: Any, height: int, width: int, rows: int, columns: int, scale: Any
) -> None:
    """Three channels as planes of luminance, and of blue and red at half the size."""
    half, luma, lines = columns // 2, LINES + 3 * columns + 8, (LINES, LINES + columns)
    blue, red = luma + rows * columns, luma + rows * columns * 5 // 4
    for i in range(blue, blue + rows * columns // 2):
        t[i] = ZERO
    for row in range(rows):
        at, out = min(row, height - 1) * width, luma + row * columns
        for k in range(width):
            x, y, z = _nearest(r[at + k] * scale), _nearest(g[at + k] * scale), _nearest(b[at + k] * scale)
            grey = np.float32(0.299) * x + np.float32(0.587) * y + np.float32(0.114) * z
            t[out + k] = _nearest(grey) - np.float32(128)
            t[lines[0] + k] = _nearest((z - grey) * np.float32(0.5 / 0.886))
            t[lines[1] + k] = _nearest((x - grey) * np.float32(0.5 / 0.701))
        _padded(t, out, width, columns)
        _padded(t, lines[0], width, columns)
        _padded(t, lines[1], width, columns)
        _halved(t, lines[0], blue + row // 2 * half, half)
        _halved(t, lines[1], red + row // 2 * half, half)
    for i in range(0, rows * columns // 2, 2):  # libjpeg rounds halves down and up in turn
        t[blue + i] = np.floor((t[blue + i] + np.float32(1)) * np.float32(0.25))
        t[blue + i + 1] = np.floor((t[blue + i + 1] + np.float32(2)) * np.float32(0.25))


@inlined
def _level(x: Any, back: Any) -> Any:
    """A number of a channel, in the units that are stored."""
    return min(max(_nearest(x), ZERO), BYTE) * back


@inlined
def _joined(
    r: Any, g: Any, b: Any, t: Any, height: int, width: int, rows: int, columns: int, back: Any
) -> None:
    """The planes as three channels."""
    half, luma = columns // 2, LINES + 3 * columns + 8
    blue, red = luma + rows * columns, luma + rows * columns * 5 // 4
    first, second, spare = LINES, LINES + columns, LINES + 2 * columns
    for row in range(height):
        near = row // 2
        far = min(max(near - 1 if row % 2 == 0 else near + 1, 0), rows // 2 - 1)
        _doubled(t, blue + near * half, blue + far * half, half, spare, first)
        _doubled(t, red + near * half, red + far * half, half, spare, second)
        at, plane = row * width, luma + row * columns
        for k in range(width):
            y, u, v = t[plane + k] + np.float32(128), t[first + k], t[second + k]
            r[at + k] = _level(y + np.float32(1.402) * v, back)
            g[at + k] = _level(y - np.float32(0.344136) * u - np.float32(0.714136) * v, back)
            b[at + k] = _level(y + np.float32(1.772) * u, back)


@inlined
def _grey(x: Any, t: Any, height: int, width: int, white: Any) -> None:
    """One channel by itself."""
    rows, columns, scale = (height + 7) // 8 * 8, (width + 7) // 8 * 8, BYTE / white
    for row in range(rows):
        at, out = min(row, height - 1) * width, LINES + row * columns
        for k in range(width):
            t[out + k] = _nearest(x[at + k] * scale) - np.float32(128)
        _padded(t, out, width, columns)
    _blocks(t, LINES, rows, columns, 0)
    for row in range(height):
        for k in range(width):
            x[row * width + k] = (t[LINES + row * columns + k] + np.float32(128)) / scale


def jpeg(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Compressed and read again: colours where there are three channels, else each channel by itself."""
    n, t, size = doubles(rows), floats(scratch), height * width
    high, wide = (height + 15) // 16 * 16, (width + 15) // 16 * 16
    luma = LINES + 3 * wide + 8
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, at = np.float32(n[s * LOOK + WHITE]), pixels + 4 * s * channels * size
            _prepare(t, int(n[s * LOOK + FIRST]))
            if channels == 3:
                r, g, b = floats(at), floats(at + 4 * size), floats(at + 8 * size)
                _parted(r, g, b, t, height, width, high, wide, BYTE / white)
                _blocks(t, luma, high, wide, 0)
                _blocks(t, luma + high * wide, high // 2, wide // 2, 64)
                _blocks(t, luma + high * wide * 5 // 4, high // 2, wide // 2, 64)
                _joined(r, g, b, t, height, width, high, wide, white / BYTE)
            else:
                for c in range(channels):
                    _grey(floats(at + 4 * c * size), t, height, width, white)
