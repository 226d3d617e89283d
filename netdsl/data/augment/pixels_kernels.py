"""From the numbers that kernels work on to those that are stored."""

from __future__ import annotations

import numpy as np

from netdsl.native.numba_ir import floats, octets


def narrow(source: int, target: int, count: int) -> None:
    """Numbers as bytes: the nearest of 0 to 255, of two the upper."""
    x, out = floats(source), octets(target)
    for i in range(count):
        out[i] = np.uint8(np.int32(min(max(x[i], np.float32(0)), np.float32(255)) + np.float32(0.5)))
