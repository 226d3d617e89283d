"""Parts of kernels: where the pixels of a row come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.data.augment.layout import MAP, MARGIN, REFLECT, WRAP
from netdsl.native.numba_ir import inlined

FAR = 1e9
Map = tuple[float, float, float, float, float, float, float, float, float]


@inlined
def map_at(n: Any, row: int) -> Map:
    """The nine numbers of a map."""
    at = row + MAP
    return n[at], n[at + 1], n[at + 2], n[at + 3], n[at + 4], n[at + 5], n[at + 6], n[at + 7], n[at + 8]


@inlined
def is_move(m: Map) -> Any:
    """Whether a map takes rows to rows, forwards or in reverse, by steps of whole pixels."""
    straight = m[1] == 0 and m[3] == 0 and m[6] == 0 and m[7] == 0 and m[8] == 1
    return (
        straight and abs(m[0]) == 1 and abs(m[4]) == 1 and m[2] == np.floor(m[2]) and m[5] == np.floor(m[5])
    )


@inlined
def points(
    m: Map, field: Any, step: int, size: int, row: float, right: float, high: int, width: int, u: Any, v: Any
) -> None:
    """Where a map takes the points of some rows, so much to the right of the pixels; far away for infinity.

    field: the steps along x at `step`, along y at `step` + `size`, that are added before; none where step < 0.
    """
    for line in range(high):
        for k in range(width):
            u[line * width + k], v[line * width + k] = np.int32(k) + right, row + line
    count = high * width
    if step >= 0:
        for k in range(count):
            u[k] += field[step + k]
            v[k] += field[step + size + k]
    if m[6] == 0 and m[7] == 0:
        for k in range(count):
            x, y = u[k], v[k]
            u[k], v[k] = m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]
        return
    for k in range(count):
        x, y = u[k], v[k]
        w = m[6] * x + m[7] * y + m[8]
        part = 1 / max(w, 1e-9)
        u[k] = (m[0] * x + m[1] * y + m[2]) * part if w >= 1e-9 else FAR
        v[k] = (m[3] * x + m[4] * y + m[5]) * part if w >= 1e-9 else FAR


@inlined
def folded(u: Any, size: int, border: int, count: int) -> None:
    """Places along an axis of this size as those, in the picture or its border, that have the same value."""
    if border == REFLECT:
        period = 2.0 * max(size - 1, 1)
        for k in range(count):
            u[k] = abs(u[k] - period * np.floor(u[k] / period + 0.5)) if size > 1 else 0.0
    elif border == WRAP:
        for k in range(count):
            u[k] -= size * np.floor(u[k] / size)
    # Even a bicubic value is the same from two pixels outside on.
    for k in range(count):
        u[k] = min(max(u[k], -2.0), size + 1.0)


@inlined
def split(u: Any, v: Any, pitch: int, half: float, at: Any, fx: Any, fy: Any, count: int) -> None:
    """Places as the pixels before them, in a picture with its border whose rows are so far apart, and shares.

    half: 0.5 for the nearest pixels.
    """
    for k in range(count):
        x, y = u[k] + (MARGIN + half), v[k] + (MARGIN + half)
        column, line = np.int32(x), np.int32(y)
        at[k] = line * np.int32(pitch) + column
        fx[k], fy[k] = np.float32(x - column), np.float32(y - line)
