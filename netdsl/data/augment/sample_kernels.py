"""The kernels that move pictures: each pixel of the result by its place in the picture, values between pixels.

A picture is first put into its border, so that nothing needs to be asked at its sides.  Then the places of some rows
are computed, and their values for one channel after the other: loops that LLVM turns into vector code.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.data.augment.border_kernels import extended, within
from netdsl.data.augment.layout import FILL, HIGH, LINES, LOW, MARGIN, ROW, STRIP, TAPS
from netdsl.data.augment.place_kernels import folded, is_move, map_at, points, split
from netdsl.native.numba_ir import copy_pair, counts, doubles, floats, inlined, integers

ZERO, ONE = np.float32(0), np.float32(1)


@inlined
def _framed(x: Any, at: int, out: Any, height: int, width: int, border: int, fill: Any) -> None:
    """Copy a plane with what the border gives around it."""
    pitch = width + 2 * MARGIN
    for row in range(-MARGIN, height + MARGIN):
        inside, to = within(row, height, border), (row + MARGIN) * pitch
        if inside < 0:
            for i in range(pitch):
                out[to + i] = fill
        else:
            extended(x, at + inside * width, out, to, width, MARGIN, border, fill)


@inlined
def _nearest(x: Any, pitch: int, at: Any, fx: Any, fy: Any, t: Any, out: Any, to: int, count: int) -> None:
    """Add the values of pixels."""
    for k in range(count):
        t[k] = x[np.int64(at[k])]
    for k in range(count):
        out[to + k] += t[k]


@inlined
def _bilinear(x: Any, pitch: int, at: Any, fx: Any, fy: Any, t: Any, out: Any, to: int, count: int) -> None:
    """Add values between 2 x 2 pixels."""
    lower = 2 * count
    for k in range(count):
        i = np.int64(at[k])
        copy_pair(t, 2 * k, x, i)
        copy_pair(t, lower + 2 * k, x, i + pitch)
    for k in range(count):
        a, b, c, d = t[2 * k], t[2 * k + 1], t[lower + 2 * k], t[lower + 2 * k + 1]
        above, below = a + (b - a) * fx[k], c + (d - c) * fx[k]
        out[to + k] += above + (below - above) * fy[k]


@inlined
def _cubic(f: Any) -> tuple[Any, Any, Any, Any]:
    """The weights of four pixels for a place behind the second: Keys 1981, a = -0.75, as PyTorch has it."""
    a, g = np.float32(-0.75), ONE - f
    first, second = a * f * g * g, ((a + np.float32(2)) * f - (a + np.float32(3))) * f * f + ONE
    last, third = a * g * f * f, ((a + np.float32(2)) * g - (a + np.float32(3))) * g * g + ONE
    return first, second, third, last


@inlined
def _bicubic(x: Any, pitch: int, at: Any, fx: Any, fy: Any, t: Any, out: Any, to: int, count: int) -> None:
    """Add values between 4 x 4 pixels."""
    for row in range(4):
        for k in range(count):
            i = np.int64(at[k]) + (row - 1) * pitch - 1
            copy_pair(t, 4 * k, x, i)
            copy_pair(t, 4 * k + 2, x, i + 2)
        for k in range(count):
            a, b, c, d = _cubic(fx[k])
            e, f, g, h = _cubic(fy[k])
            weight = e if row == 0 else f if row == 1 else g if row == 2 else h
            out[to + k] += weight * (a * t[4 * k] + b * t[4 * k + 1] + c * t[4 * k + 2] + d * t[4 * k + 3])


def sampler(value: Any) -> Any:
    """The kernel that samples pictures with one kind of value between pixels."""

    between = value is not _nearest

    def sample(
        source: int,
        target: int,
        numbers: int,
        steps: int,
        scratch: int,
        count: int,
        height: int,
        width: int,
        channels: int,
        new_height: int,
        new_width: int,
        border: int,
    ) -> None:
        x, out, n, field = floats(source), floats(target), doubles(numbers), floats(steps)
        pitch, size = width + 2 * MARGIN, new_height * new_width
        plane, high = (height + 2 * MARGIN) * pitch, max(1, min(new_height, STRIP // new_width))
        line = 8 * high * new_width
        u, v, t = doubles(scratch), doubles(scratch + line), floats(scratch + 4 * line)
        at, fx, fy = (
            counts(scratch + 2 * line),
            floats(scratch + 3 * line),
            floats(scratch + 3 * line + line // 2),
        )
        for s in range(count):
            row_of, picture = s * ROW, scratch + LINES * line
            m, taps, fill = map_at(n, row_of), int(n[row_of + TAPS]), np.float32(n[row_of + FILL])
            low, high_value = np.float32(n[row_of + LOW]), np.float32(n[row_of + HIGH])
            share = np.float32(1.0 / (taps * taps))
            for c in range(channels):
                framed = floats(picture + 4 * c * plane)
                _framed(x, (s * channels + c) * height * width, framed, height, width, border, fill)
            whole = not between or (steps == 0 and is_move(m))
            for part in range((new_height + high - 1) // high):
                row = part * high
                rows = min(high, new_height - row)
                some, o = rows * new_width, s * size * channels + row * new_width
                step = 2 * s * size + row * new_width if steps != 0 else -1
                for c in range(channels):
                    for i in range(some):
                        out[o + c * size + i] = ZERO
                for tap in range(taps * taps):
                    down, right = (tap // taps + 0.5) / taps - 0.5, (tap % taps + 0.5) / taps - 0.5
                    points(m, field, step, size, row + down, right, rows, new_width, u, v)
                    folded(u, width, border, some)
                    folded(v, height, border, some)
                    split(u, v, pitch, 0.5 if whole else 0.0, at, fx, fy, some)
                    for c in range(channels):
                        framed = floats(picture + 4 * c * plane)
                        if whole:
                            _nearest(framed, pitch, at, fx, fy, t, out, o + c * size, some)
                        else:
                            value(framed, pitch, at, fx, fy, t, out, o + c * size, some)
                for c in range(channels):
                    for i in range(some):
                        out[o + c * size + i] = min(max(out[o + c * size + i] * share, low), high_value)

    return sample


nearest, bilinear, bicubic = sampler(_nearest), sampler(_bilinear), sampler(_bicubic)
"""Planes [count, channels, height, width] to those of the new size; steps [count, 2, ...] (x, y) may be 0."""


def places(
    target: int,
    numbers: int,
    steps: int,
    scratch: int,
    count: int,
    height: int,
    width: int,
    new_height: int,
    new_width: int,
    border: int,
) -> None:
    """For each pixel of results [count, new_height, new_width] the number of the nearest in the picture, or -1."""
    size = new_height * new_width
    out, n, field = integers(target), doubles(numbers), floats(steps)
    u, v = doubles(scratch), doubles(scratch + 8 * new_width)
    for s in range(count):
        m = map_at(n, s * ROW)
        for row in range(new_height):
            step = 2 * s * size + row * new_width if steps != 0 else -1
            points(m, field, step, size, float(row), 0.0, 1, new_width, u, v)
            folded(u, width, border, new_width)
            folded(v, height, border, new_width)
            for k in range(new_width):
                x = within(math.floor(u[k] + 0.5), width, border)
                y = within(math.floor(v[k] + 0.5), height, border)
                out[s * size + row * new_width + k] = -1 if x < 0 or y < 0 else y * width + x
