"""The kernels of changes that look at one pixel at a time, or at the mean of all.

Every kernel of appearance takes pixels [count, height, width, channels] of float32, changed where they are, rows of
numbers, the keys of the samples, and scratch memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.data.augment.layout import ACTIVE, FIRST, LOOK, WHITE
from netdsl.data.augment.math_kernels import power
from netdsl.native.numba_ir import doubles, floats, inlined

ZERO, ONE = np.float32(0), np.float32(1)
RED, GREEN, BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)


@inlined
def _grey(x: Any, i: int) -> Any:
    """ITU-R BT.601-7."""
    return RED * x[i] + GREEN * x[i + 1] + BLUE * x[i + 2]


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


def contrast(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """The distance from the mean of grey times a factor."""
    x, n, size = floats(pixels), doubles(rows), height * width * channels
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, factor, at = np.float32(n[s * LOOK + WHITE]), np.float32(n[s * LOOK + FIRST]), s * size
            total = 0.0
            for p in range(height * width):
                if channels == 3:
                    total += _grey(x, at + 3 * p)
                else:
                    for c in range(channels):
                        total += x[at + p * channels + c] / channels
            rest = np.float32(total / (height * width)) * (ONE - factor)
            for i in range(at, at + size):
                x[i] = min(max(x[i] * factor + rest, ZERO), white)


def saturation(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """The distance of each colour from its grey times a factor."""
    x, n, size = floats(pixels), doubles(rows), height * width * 3
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, factor, at = np.float32(n[s * LOOK + WHITE]), np.float32(n[s * LOOK + FIRST]), s * size
            for i in range(at, at + size, 3):
                rest = _grey(x, i) * (ONE - factor)
                for c in range(3):
                    x[i + c] = min(max(x[i + c] * factor + rest, ZERO), white)


def gamma(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """To a power, white staying white."""
    x, n, size = floats(pixels), doubles(rows), height * width * channels
    for s in range(count):
        exponent = np.float32(n[s * LOOK + FIRST])
        if n[s * LOOK + ACTIVE] != 0 and exponent != 1:
            white, at = np.float32(n[s * LOOK + WHITE]), s * size
            for i in range(at, at + size):
                x[i] = min(power(x[i] / white, exponent) * white, white)


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
    x, n, size = floats(pixels), doubles(rows), height * width * 3
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, at = np.float32(n[s * LOOK + WHITE]), s * size
            r = np.float32(n[s * LOOK + FIRST]) * white
            g = np.float32(n[s * LOOK + FIRST + 1]) * white
            b = np.float32(n[s * LOOK + FIRST + 2]) * white
            for i in range(at, at + size, 3):
                x[i] = min(max(x[i] + r, ZERO), white)
                x[i + 1] = min(max(x[i + 1] + g, ZERO), white)
                x[i + 2] = min(max(x[i + 2] + b, ZERO), white)


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
    x, n, size = floats(pixels), doubles(rows), height * width * 3
    for s in range(count):
        turn = np.float32(n[s * LOOK + FIRST] * 6)
        if n[s * LOOK + ACTIVE] != 0 and turn != 0:
            for i in range(s * size, (s + 1) * size, 3):
                r, g, b = x[i], x[i + 1], x[i + 2]
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
                x[i] = _channel(h, np.float32(5), value, chroma)
                x[i + 1] = _channel(h, np.float32(3), value, chroma)
                x[i + 2] = _channel(h, np.float32(1), value, chroma)
