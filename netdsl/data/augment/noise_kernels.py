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
    """Some pixels white or black, by a word for each."""
    n, key, size = doubles(rows), words(keys), height * width
    drawn, half = words(scratch), (size + 1) // 2
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            white, share = np.float32(n[s * LOOK + WHITE]), n[s * LOOK + FIRST] * 2.0**31
            k0, k1, index = key[3 * s], key[3 * s + 1], key[3 * s + 2]
            for p in range(half):
                a, b = threefry(k0, k1, index, np.uint32(4 + p))
                # 31 bits, which are no less as numbers with a sign
                drawn[p], drawn[half + p] = a >> np.uint32(1), b >> np.uint32(1)
            pepper, both = np.uint32(share / 2), np.uint32(share)
            for c in range(channels):
                x = floats(pixels + 4 * (s * channels + c) * size)
                for p in range(size):
                    spoilt = ZERO if drawn[p] < pepper else white
                    x[p] = spoilt if drawn[p] < both else x[p]


def cutout(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """A square of one value: its first row and column, its side, the value."""
    n, size = doubles(rows), height * width
    for s in range(count):
        if n[s * LOOK + ACTIVE] != 0:
            at = s * LOOK + FIRST
            first, left, side = int(n[at]), int(n[at + 1]), int(n[at + 2])
            value = np.float32(n[at + 3] * n[s * LOOK + WHITE])
            start, stop = max(left, 0), min(left + side, width)
            for c in range(channels):
                x = floats(pixels + 4 * (s * channels + c) * size)
                for row in range(max(first, 0), min(first + side, height)):
                    for column in range(start, stop):
                        x[row * width + column] = value
