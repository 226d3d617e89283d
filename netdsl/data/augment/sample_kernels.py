"""The kernels that move pictures: each pixel of the result by its place in the picture, values between pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.data.augment.layout import CONSTANT, EDGE, FILL, HIGH, LOW, MAP, REFLECT, ROW, TAPS
from netdsl.native.numba_ir import doubles, floats, inlined, integers

FAR = 1e9
Map = tuple[float, float, float, float, float, float, float, float, float]
Shape = tuple[int, int, int]


@inlined
def _within(place: int, size: int, border: int) -> int:
    """The pixel that stands for the one at a place along an axis; -1: none does."""
    if 0 <= place < size:
        return place
    if border == CONSTANT:
        return -1
    if border == EDGE:
        return 0 if place < 0 else size - 1
    if border == REFLECT:
        if size == 1:
            return 0
        folded = abs(place) % (2 * size - 2)
        return folded if folded < size else 2 * size - 2 - folded
    return place % size


@inlined
def _cubic(x: float) -> float:
    """Keys 1981 with a = -0.75, as PyTorch and OpenCV have it."""
    x = abs(x)
    if x < 1:
        return (1.25 * x - 2.25) * x * x + 1
    return ((-0.75 * x + 3.75) * x - 6) * x + 3 if x < 2 else 0.0


@inlined
def _map_at(n: Any, at: int) -> Map:
    """The nine numbers of a map."""
    return n[at], n[at + 1], n[at + 2], n[at + 3], n[at + 4], n[at + 5], n[at + 6], n[at + 7], n[at + 8]


@inlined
def _place(m: Map, x: float, y: float) -> tuple[float, float]:
    """Where a map takes a point; far away where that is at infinity."""
    u, v = m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]
    if m[6] != 0 or m[7] != 0:
        w = m[6] * x + m[7] * y + m[8]
        if w < 1e-9:
            return FAR, FAR
        u, v = u / w, v / w
    return min(max(u, -FAR), FAR), min(max(v, -FAR), FAR)


@inlined
def _pixel(column: int, row: int, width: int, channels: int) -> int:
    """Where a pixel starts; -1 outside."""
    return -1 if column < 0 or row < 0 else (row * width + column) * channels


@inlined
def _bilinear(
    x: Any, base: int, out: Any, o: int, u: float, v: float, shape: Shape, border: int, fill: Any
) -> None:
    """Add a value between 2 x 2 pixels."""
    height, width, channels = shape
    left, top = math.floor(u), math.floor(v)
    fx, fy = np.float32(u - left), np.float32(v - top)
    column, row = int(left), int(top)
    gx, gy = np.float32(1) - fx, np.float32(1) - fy
    if 0 <= column < width - 1 and 0 <= row < height - 1:
        i = base + (row * width + column) * channels
        j = i + width * channels
        if channels == 3:  # written out: the loop costs as much as what is in it
            a, b, d, e = gx * gy, fx * gy, gx * fy, fx * fy
            out[o] += x[i] * a + x[i + 3] * b + x[j] * d + x[j + 3] * e
            out[o + 1] += x[i + 1] * a + x[i + 4] * b + x[j + 1] * d + x[j + 4] * e
            out[o + 2] += x[i + 2] * a + x[i + 5] * b + x[j + 2] * d + x[j + 5] * e
            return
        for c in range(channels):
            upper = x[i + c] * gx + x[i + channels + c] * fx
            out[o + c] += upper * gy + (x[j + c] * gx + x[j + channels + c] * fx) * fy
        return
    c0, c1 = _within(column, width, border), _within(column + 1, width, border)
    r0, r1 = _within(row, height, border), _within(row + 1, height, border)
    p, q = _pixel(c0, r0, width, channels), _pixel(c1, r0, width, channels)
    r, s = _pixel(c0, r1, width, channels), _pixel(c1, r1, width, channels)
    for c in range(channels):
        upper = (fill if p < 0 else x[base + p + c]) * gx + (fill if q < 0 else x[base + q + c]) * fx
        lower = (fill if r < 0 else x[base + r + c]) * gx + (fill if s < 0 else x[base + s + c]) * fx
        out[o + c] += upper * gy + lower * fy


@inlined
def _bicubic(
    x: Any, base: int, out: Any, o: int, u: float, v: float, shape: Shape, border: int, fill: Any
) -> None:
    """Add a value between 4 x 4 pixels."""
    height, width, channels = shape
    left, top = math.floor(u), math.floor(v)
    for k in range(-1, 3):
        row = _within(int(top) + k, height, border)
        weight = _cubic(v - top - k)
        for j in range(-1, 3):
            i = _pixel(_within(int(left) + j, width, border), row, width, channels)
            share = np.float32(weight * _cubic(u - left - j))
            for c in range(channels):
                out[o + c] += share * (fill if i < 0 else x[base + i + c])


@inlined
def _nearest(
    x: Any, base: int, out: Any, o: int, u: float, v: float, shape: Shape, border: int, fill: Any
) -> None:
    """Add the value of the pixel that is nearest."""
    height, width, channels = shape
    column = _within(math.floor(u + 0.5), width, border)
    row = _within(math.floor(v + 0.5), height, border)
    i = _pixel(column, row, width, channels)
    for c in range(channels):
        out[o + c] += fill if i < 0 else x[base + i + c]


@inlined
def _is_move(n: Any, at: int) -> Any:
    """Whether a map takes rows to rows, forwards or in reverse, by steps of whole pixels."""
    straight = n[at + 1] == 0 and n[at + 3] == 0 and n[at + 6] == 0 and n[at + 7] == 0 and n[at + 8] == 1
    unscaled = abs(n[at]) == 1 and abs(n[at + 4]) == 1
    return straight and unscaled and n[at + 2] == math.floor(n[at + 2]) and n[at + 5] == math.floor(n[at + 5])


@inlined
def _move(
    x: Any, base: int, out: Any, o: int, n: Any, at: int, shape: Shape, new: tuple[int, int], border: int
) -> None:
    """Copy rows."""
    height, width, channels = shape
    fill = np.float32(n[at + FILL])
    across, x0 = int(n[at]), int(n[at + 2])
    # The columns that come from within the picture.
    first = min(max(-x0 if across > 0 else x0 - width + 1, 0), new[1])
    last = min(max(width - x0 if across > 0 else x0 + 1, first), new[1])
    for oy in range(new[0]):
        row = _within(int(n[at + 4]) * oy + int(n[at + 5]), height, border)
        line = o + oy * new[1] * channels
        start = base + (row * width + x0) * channels
        if row < 0:
            for i in range(new[1] * channels):
                out[line + i] = fill
            continue
        if across > 0:
            for i in range(first * channels, last * channels):
                out[line + i] = x[start + i]
        else:
            for ox in range(first, last):
                for c in range(channels):
                    out[line + ox * channels + c] = x[start - ox * channels + c]
        for ox in range(new[1]):
            if first <= ox < last:
                continue
            i = _pixel(_within(across * ox + x0, width, border), row, width, channels)
            for c in range(channels):
                out[line + ox * channels + c] = fill if i < 0 else x[base + i + c]


def sampler(value: Any) -> Any:
    """The kernel that samples pictures with one kind of value between pixels."""

    def sample(
        source: int,
        target: int,
        numbers: int,
        steps: int,
        count: int,
        height: int,
        width: int,
        channels: int,
        new_height: int,
        new_width: int,
        border: int,
    ) -> None:
        x, out, n, field = floats(source), floats(target), doubles(numbers), floats(steps)
        shape, size = (height, width, channels), new_height * new_width
        for s in range(count):
            at, base, o = s * ROW, s * height * width * channels, s * size * channels
            if steps == 0 and _is_move(n, at):
                _move(x, base, out, o, n, at, shape, (new_height, new_width), border)
                continue
            m, taps, fill = _map_at(n, at + MAP), int(n[at + TAPS]), np.float32(n[at + FILL])
            low, high, share = (
                np.float32(n[at + LOW]),
                np.float32(n[at + HIGH]),
                np.float32(1.0 / (taps * taps)),
            )
            for i in range(o, o + size * channels):
                out[i] = np.float32(0)
            for row in range(new_height):
                for column in range(new_width):
                    px, py = float(column), float(row)
                    if steps != 0:
                        p = 2 * s * size + row * new_width + column
                        px += field[p]
                        py += field[p + size]
                    for dy in range(taps):
                        for dx in range(taps):
                            tx, ty = px + (dx + 0.5) / taps - 0.5, py + (dy + 0.5) / taps - 0.5
                            u, v = _place(m, tx, ty)
                            value(x, base, out, o, u, v, shape, border, fill)
                    o += channels
            for i in range(o - size * channels, o):
                out[i] = min(max(out[i] * share, low), high)

    return sample


nearest, bilinear, bicubic = sampler(_nearest), sampler(_bilinear), sampler(_bicubic)
"""Pictures [count, height, width, channels] to those of the new size; steps [count, 2, ...] (x, y) may be 0."""


def places(
    target: int,
    numbers: int,
    steps: int,
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
    for s in range(count):
        m = _map_at(n, s * ROW + MAP)
        for row in range(new_height):
            for column in range(new_width):
                px, py, p = float(column), float(row), row * new_width + column
                if steps != 0:
                    px += field[2 * s * size + p]
                    py += field[(2 * s + 1) * size + p]
                u, v = _place(m, px, py)
                x = _within(math.floor(u + 0.5), width, border)
                y = _within(math.floor(v + 0.5), height, border)
                out[s * size + p] = _pixel(x, y, width, 1)
