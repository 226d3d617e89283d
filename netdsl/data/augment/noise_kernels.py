"""The kernels of noise and of what is cut out."""

from __future__ import annotations

import numpy as np

from netdsl.data.augment.layout import ACTIVE, FIRST, LOOK, WHITE
from netdsl.data.augment.math_kernels import normals
from netdsl.data.augment.random_kernels import threefry
from netdsl.native.numba_ir import doubles, floats, words

ZERO = np.float32(0)


def gaussian_noise(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Plus a normal number of its own for each number; words of a sample from pair 4 on."""
    x, n, key, size = floats(pixels), doubles(rows), words(keys), height * width * channels
    noise = floats(scratch)
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, at = np.float32(n[s * LOOK + WHITE]), s * size
            sigma = np.float32(n[s * LOOK + FIRST]) * white
            k0, k1, index = key[3 * s], key[3 * s + 1], key[3 * s + 2]
            half = (size + 1) // 2
            for p in range(half):
                a, b = threefry(k0, k1, index, np.uint32(4 + p))
                first, second = normals(a, b)
                noise[p], noise[half + p] = first, second
            for i in range(size):
                x[at + i] = min(max(x[at + i] + sigma * noise[i], ZERO), white)


def salt_and_pepper(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Some pixels white or black."""
    x, n, key, size = floats(pixels), doubles(rows), words(keys), height * width * channels
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, below = np.float32(n[s * LOOK + WHITE]), n[s * LOOK + FIRST] * 2.0**32
            k0, k1, index = key[3 * s], key[3 * s + 1], key[3 * s + 2]
            for p in range(height * width):
                a, b = threefry(k0, k1, index, np.uint32(4 + p))
                if a < below:
                    value = white if b & np.uint32(1) else ZERO
                    for c in range(channels):
                        x[s * size + p * channels + c] = value


def cutout(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """A square of one value: its first row and column, its side, the value."""
    x, n, size = floats(pixels), doubles(rows), height * width * channels
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            first, left, side = (
                int(n[s * LOOK + FIRST]),
                int(n[s * LOOK + FIRST + 1]),
                int(n[s * LOOK + FIRST + 2]),
            )
            value = np.float32(n[s * LOOK + FIRST + 3] * n[s * LOOK + WHITE])
            start, stop = max(left, 0), min(left + side, width)
            for row in range(max(first, 0), min(first + side, height)):
                for i in range((row * width + start) * channels, (row * width + stop) * channels):
                    x[s * size + i] = value
