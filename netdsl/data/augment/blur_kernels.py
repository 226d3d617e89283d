"""The kernel of `blur`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.data.augment.gaussian_kernels import blur_plane
from netdsl.data.augment.layout import ACTIVE, FIRST, LOOK, REFLECT
from netdsl.native.numba_ir import doubles, floats, inlined


@inlined
def _weights(w: Any, at: int, sigma: float) -> int:
    """Write the weights of a Gaussian, cut off at four sigma, and return how far it reaches."""
    reach, total = int(4 * sigma + 0.5), 0.0
    for k in range(-reach, reach + 1):
        total += math.exp(-0.5 * (k / sigma) ** 2)
    for k in range(-reach, reach + 1):
        w[at + k + reach] = np.float32(math.exp(-0.5 * (k / sigma) ** 2) / total)
    return reach


def blur(
    pixels: int, rows: int, keys: int, scratch: int, count: int, height: int, width: int, channels: int
) -> None:
    """Mirrored at the outermost pixels; scratch holds the weights, and what a blur needs."""
    n, w, size = doubles(rows), floats(scratch), height * width
    for s in range(count):
        sigma = n[s * LOOK + FIRST]
        if n[s * LOOK + ACTIVE] == 0 or sigma < 0.1:
            continue
        reach = _weights(w, 0, sigma)
        t = floats(scratch + 4 * (2 * reach + 1))
        for c in range(channels):
            x = floats(pixels + 4 * (s * channels + c) * size)
            blur_plane(x, height, width, t, w, reach, reach, reach, REFLECT)
