"""The kernel of `blur`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.data.augment.layout import ACTIVE, FIRST, LOOK
from netdsl.native.numba_ir import doubles, floats, inlined

ZERO = np.float32(0)


@inlined
def _mirrored(place: int, size: int) -> int:
    """The pixel for one outside, mirrored at the outermost ones."""
    if size == 1:
        return 0
    folded = abs(place) % (2 * size - 2)
    return folded if folded < size else 2 * size - 2 - folded


@inlined
def _weights(w: Any, at: int, sigma: float) -> int:
    """Write the weights of a Gaussian, cut off at four sigma, and return how far it reaches."""
    reach, total = int(4 * sigma + 0.5), 0.0
    for k in range(-reach, reach + 1):
        total += math.exp(-0.5 * (k / sigma) ** 2)
    for k in range(-reach, reach + 1):
        w[at + k + reach] = np.float32(math.exp(-0.5 * (k / sigma) ** 2) / total)
    return reach


@inlined
def _add(x: Any, at: int, out: Any, to: int, count: int, weight: Any) -> None:
    for i in range(count):
        out[to + i] += weight * x[at + i]


def blur(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Rows, then columns; scratch holds a picture, a row with its borders, and the weights."""
    x, n, t = floats(pixels), doubles(rows), floats(scratch)
    line, size = width * channels, height * width * channels
    for s in range(count):
        sigma, at = n[s * LOOK + FIRST], s * size
        if n[s * LOOK + ACTIVE] == 0 or sigma < 0.1:
            continue
        reach = _weights(t, size, sigma)
        wide = size + 2 * reach + 1
        for i in range(size):
            t[i] = ZERO
        for row in range(height):
            start = at + row * line
            for column in range(-reach, width + reach):
                inside = _mirrored(column, width) * channels
                for c in range(channels):
                    t[wide + (column + reach) * channels + c] = x[start + inside + c]
            for k in range(2 * reach + 1):
                _add(t, wide + k * channels, t, row * line, line, t[size + k])
        for row in range(height):
            start = at + row * line
            for i in range(line):
                x[start + i] = ZERO
            for k in range(2 * reach + 1):
                _add(t, _mirrored(row + k - reach, height) * line, x, start, line, t[size + k])
