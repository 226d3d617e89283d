"""The kernels of changes that look at one pixel at a time, or at the mean of all.

Every kernel of appearance takes planes [count, channels, height, width] of float32, changed where they are, rows of
numbers, the keys of the samples, and scratch memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.data.augment.layout import ACTIVE, FIRST, LOOK, WHITE
from netdsl.data.augment.math_kernels import power
from netdsl.native.numba_ir import doubles, floats, inlined, summed

ZERO, ONE = np.float32(0), np.float32(1)
RED, GREEN, BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
#: numbers that are added as float32 before their sum is added to a double
TOGETHER = 2048


def brightness(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Times a factor."""
    x, n, size = floats(pixels), doubles(rows), height * width * channels
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, factor, at = np.float32(n[s * LOOK + WHITE]), np.float32(n[s * LOOK + FIRST]), s * size
            for i in range(at, at + size):
                x[i] = min(max(x[i] * factor, ZERO), white)


@summed
def _sum(x: Any, first: int, last: int) -> Any:
    total = ZERO
    for i in range(first, last):
        total += x[i]
    return total


@inlined
def _mean(x: Any, count: int) -> float:
    total = 0.0
    for start in range(0, count, TOGETHER):
        total += _sum(x, start, min(start + TOGETHER, count))
    return total / count


def contrast(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """The distance from the mean of grey times a factor."""
    n, size = doubles(rows), height * width
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, factor = np.float32(n[s * LOOK + WHITE]), np.float32(n[s * LOOK + FIRST])
            mean, at = 0.0, pixels + 4 * s * channels * size
            for c in range(channels):
                colour = RED if c == 0 else GREEN if c == 1 else BLUE
                mean += _mean(floats(at + 4 * c * size), size) * (
                    float(colour) if channels == 3 else 1.0 / channels
                )
            rest, x = np.float32(mean) * (ONE - factor), floats(at)
            for i in range(channels * size):
                x[i] = min(max(x[i] * factor + rest, ZERO), white)


def saturation(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """The distance of each colour from its grey (ITU-R BT.601-7) times a factor."""
    n, size = doubles(rows), height * width
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, factor = np.float32(n[s * LOOK + WHITE]), np.float32(n[s * LOOK + FIRST])
            r, g, b = _colours(pixels, s, size)
            for p in range(size):
                rest = (RED * r[p] + GREEN * g[p] + BLUE * b[p]) * (ONE - factor)
                red, green, blue = r[p] * factor + rest, g[p] * factor + rest, b[p] * factor + rest
                r[p] = min(max(red, ZERO), white)
                g[p] = min(max(green, ZERO), white)
                b[p] = min(max(blue, ZERO), white)


@inlined
def _colours(pixels: int, s: int, size: int) -> tuple[Any, Any, Any]:
    """The three planes of a sample."""
    at = pixels + 12 * s * size
    return floats(at), floats(at + 4 * size), floats(at + 8 * size)


def gamma(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """To a power, white staying white."""
    x, n, size = floats(pixels), doubles(rows), height * width * channels
    for s in range(count):
        exponent = np.float32(n[s * LOOK + FIRST])
        if n[s * LOOK + ACTIVE] != 0 and exponent != 1:
            white, at = np.float32(n[s * LOOK + WHITE]), s * size
            part = ONE / white
            for i in range(at, at + size):
                x[i] = min(power(x[i] * part, exponent) * white, white)


def invert(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """White minus each number."""
    x, n, size = floats(pixels), doubles(rows), height * width * channels
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white = np.float32(n[s * LOOK + WHITE])
            for i in range(s * size, (s + 1) * size):
                x[i] = white - x[i]


def pca_lighting(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Each colour plus a number of its own."""
    x, n, size = floats(pixels), doubles(rows), height * width
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white = np.float32(n[s * LOOK + WHITE])
            for c in range(3):
                more, at = np.float32(n[s * LOOK + FIRST + c]) * white, (3 * s + c) * size
                for i in range(at, at + size):
                    x[i] = min(max(x[i] + more, ZERO), white)


@inlined
def _channel(sextant: Any, n: Any, value: Any, chroma: Any) -> Any:
    """One colour by hue, value and chroma (Smith 1978)."""
    k = sextant + n
    k = k - np.float32(6) if k >= 6 else k
    return value - chroma * max(ZERO, min(min(k, np.float32(4) - k), ONE))


def hue(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """The hue plus a share of the circle, by hue, saturation and value."""
    n, size = doubles(rows), height * width
    for s in range(count):
        turn = np.float32(n[s * LOOK + FIRST] * 6)
        if n[s * LOOK + ACTIVE] != 0 and turn != 0:
            reds, greens, blues = _colours(pixels, s, size)
            for i in range(size):
                r, g, b = reds[i], greens[i], blues[i]
                value = max(max(r, g), b)
                chroma = value - min(min(r, g), b)
                part = ONE / max(chroma, np.float32(1e-20))
                # The sextant of the hue, from 0 up to 6.
                h = (g - b) * part
                h = (b - r) * part + np.float32(2) if value == g else h
                h = (r - g) * part + np.float32(4) if value == b else h
                h = (g - b) * part if value == r else h
                h += turn + (np.float32(6) if h < 0 else ZERO)
                h = h + np.float32(6) if h < 0 else h
                h = h - np.float32(6) if h >= 6 else h
                reds[i] = _channel(h, np.float32(5), value, chroma)
                greens[i] = _channel(h, np.float32(3), value, chroma)
                blues[i] = _channel(h, np.float32(1), value, chroma)
