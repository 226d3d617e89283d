"""Random numbers of kernels, one stream for each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.native.numba_ir import inlined


@inlined
def _turn(x: Any, y: Any, by: int) -> Any:
    """One round's second word; words are uint32."""
    return np.uint32(np.uint32(np.uint32(y << np.uint32(by)) | np.uint32(y >> np.uint32(32 - by))) ^ x)


@inlined
def threefry(k0: Any, k1: Any, c0: Any, c1: Any) -> tuple[Any, Any]:
    """Two uniform words: Threefry-2x32 with 20 rounds (Salmon et al., SC 2011), as `scalar.evaluate` has it."""
    k2 = np.uint32(np.uint32(0x1BD11BDA) ^ k0 ^ k1)
    x = np.uint32(c0 + k0)
    y = np.uint32(c1 + k1)
    for group in range(5):
        even = group % 2 == 0
        x = np.uint32(x + y)
        y = _turn(x, y, 13) if even else _turn(x, y, 17)
        x = np.uint32(x + y)
        y = _turn(x, y, 15) if even else _turn(x, y, 29)
        x = np.uint32(x + y)
        y = _turn(x, y, 26) if even else _turn(x, y, 16)
        x = np.uint32(x + y)
        y = _turn(x, y, 6) if even else _turn(x, y, 24)
        first = k1 if group % 3 == 0 else (k2 if group % 3 == 1 else k0)
        second = k2 if group % 3 == 0 else (k0 if group % 3 == 1 else k1)
        x = np.uint32(x + first)
        y = np.uint32(y + second + np.uint32(group + 1))
    return x, y
