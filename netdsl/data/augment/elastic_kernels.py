"""The kernel of `elastic`: random steps, blurred."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.data.augment.gaussian_kernels import blur_plane
from netdsl.data.augment.layout import CONSTANT
from netdsl.data.augment.random_kernels import threefry
from netdsl.native.numba_ir import doubles, floats, inlined, words


@inlined
def _step(bits: Any, scale: Any) -> Any:
    """A number from -1 to 1, times the scale, by 16 bits."""
    return (np.float32(np.int32(bits)) - np.float32(32767.5)) * scale


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

    keys: uint32 [count, 3], of the change and the sample.  scratch: see `blurring`.
    """
    size, low = height * width, np.uint32(0xFFFF)
    key, alpha, w = words(keys), doubles(alphas), floats(weights)
    pairs = size // 2
    for s in range(count):
        x, y = floats(target + 8 * s * size), floats(target + 8 * s * size + 4 * size)
        # Steps that are not wanted are the random ones times 0.
        scale = np.float32(alpha[s] / 32768)
        k0, k1, index = key[3 * s], key[3 * s + 1], key[3 * s + 2]
        for p in range(pairs):
            a, b = threefry(k0, k1, index, np.uint32(4 + p))
            x[p], y[p] = _step(a & low, scale), _step(a >> np.uint32(16), scale)
            x[pairs + p], y[pairs + p] = _step(b & low, scale), _step(b >> np.uint32(16), scale)
        if size % 2 == 1:
            a, b = threefry(k0, k1, index, np.uint32(4 + pairs))
            x[size - 1], y[size - 1] = _step(a & low, scale), _step(a >> np.uint32(16), scale)
        down, across = min(reach, height - 1), min(reach, width - 1)
        blur_plane(x, height, width, floats(scratch), w, reach, down, across, CONSTANT)
        blur_plane(y, height, width, floats(scratch), w, reach, down, across, CONSTANT)
