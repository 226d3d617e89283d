"""The kernel of `elastic`: random steps, blurred."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.data.augment.random_kernels import threefry
from netdsl.native.numba_ir import doubles, floats, inlined, words


@inlined
def _add(x: Any, at: int, out: Any, to: int, count: int, weight: Any) -> None:
    """Add some numbers times a weight to others."""
    for i in range(count):
        out[to + i] += weight * x[at + i]


@inlined
def _blur(x: Any, at: int, out: Any, to: int, height: int, width: int, weights: Any, reach: int) -> None:
    """Blur [height, width] along the rows, or along both axes in turn by a call for each, with zeros outside."""
    for row in range(height):
        start = row * width
        for i in range(width):
            out[to + start + i] = np.float32(0)
        for k in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            first, count = max(-k, 0), width - abs(k)
            _add(x, at + start + first + k, out, to + start + first, count, weights[k + reach])


@inlined
def _blur_down(x: Any, at: int, out: Any, to: int, height: int, width: int, weights: Any, reach: int) -> None:
    """Blur [height, width] along the columns, with zeros outside."""
    for row in range(height):
        start = row * width
        for i in range(width):
            out[to + start + i] = np.float32(0)
        for k in range(max(-reach, -row), min(reach, height - 1 - row) + 1):
            _add(x, at + start + k * width, out, to + start, width, weights[k + reach])


def steps(
    target: int,
    scratch: int,
    keys: int,
    alphas: int,
    weights: int,
    reach: int,
    count: int,
    height: int,
    width: int,
) -> None:
    """Steps [count, 2, height, width]: uniform from -1 to 1, blurred along both axes, times alpha.

    keys: uint32 [count, 3], of the change and the sample.  scratch: float32 [height * width].
    """
    size = height * width
    out, other, key, alpha, w = floats(target), floats(scratch), words(keys), doubles(alphas), floats(weights)
    for s in range(count):
        first = 2 * s * size
        # Steps that are not wanted are the random ones times 0.
        scale = np.float32(alpha[s] * 2.0**-31)
        k0, k1, index = key[3 * s], key[3 * s + 1], key[3 * s + 2]
        for p in range(size):
            a, b = threefry(k0, k1, index, np.uint32(4 + p))
            out[first + p] = (np.float32(a) - np.float32(2.0**31)) * scale
            out[first + size + p] = (np.float32(b) - np.float32(2.0**31)) * scale
        for half in range(2):
            at = first + half * size
            _blur(out, at, other, 0, height, width, w, reach)
            _blur_down(other, 0, out, at, height, width, w, reach)
