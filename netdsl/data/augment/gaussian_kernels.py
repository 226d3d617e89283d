"""Parts of kernels: a blur along the rows and then along the columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.data.augment.border_kernels import extended, within
from netdsl.data.augment.layout import STRIP
from netdsl.native.numba_ir import inlined

ZERO = np.float32(0)


@inlined
def _add_weighted(
    x: Any, at: int, step: int, w: Any, first: int, taps: int, out: Any, to: int, count: int
) -> None:
    """Add the sum of weights times numbers, the number of each weight `step` behind that of the one before."""
    done = taps - taps % 4
    for k in range(0, done, 4):  # four at once, since each time the sums are read and written again
        a, b, c, d = w[first + k], w[first + k + 1], w[first + k + 2], w[first + k + 3]
        start = at + k * step
        for i in range(count):
            near = a * x[start + i] + b * x[start + step + i]
            out[to + i] += near + (c * x[start + 2 * step + i] + d * x[start + 3 * step + i])
    for k in range(done, taps):
        a, start = w[first + k], at + k * step
        for i in range(count):
            out[to + i] += a * x[start + i]


@inlined
def _cleared(x: Any, at: int, count: int) -> None:
    """Zeros."""
    for i in range(count):
        x[at + i] = ZERO


@inlined
def blur_plane(
    x: Any, height: int, width: int, t: Any, w: Any, reach: int, down: int, across: int, border: int
) -> None:
    """Blur a plane where it is, with weights that reach so far; t: scratch memory, see `blurring`.

    down, across: `reach`, or less where all that is further away along an axis is zero.
    """
    pitch = width + 2 * across
    high = max(1, min(height, STRIP // pitch))
    line, plane = high * pitch, 2 * high * pitch
    for part in range((height + high - 1) // high):
        row = part * high
        rows = min(high, height - row)
        for k in range(rows):
            extended(x, (row + k) * width, t, k * pitch, width, across, border, ZERO)
        # The rows as one, with nonsense between them.
        _cleared(t, line, rows * pitch)
        _add_weighted(t, 0, 1, w, reach - across, 2 * across + 1, t, line, rows * pitch - 2 * across)
        for k in range(rows):
            _copied(t, line + k * pitch, plane + (down + row + k) * width, width)
    for row in range(down):
        _border_row(t, plane + down * width, row - down, height, width, border)
        _border_row(t, plane + down * width, height + row, height, width, border)
    _cleared(x, 0, height * width)
    high = max(1, min(height, STRIP // width))
    for part in range((height + high - 1) // high):
        row = part * high
        count = min(high, height - row) * width
        _add_weighted(t, plane + row * width, width, w, reach - down, 2 * down + 1, x, row * width, count)


@inlined
def _copied(t: Any, at: int, to: int, count: int) -> None:
    for i in range(count):
        t[to + i] = t[at + i]


@inlined
def _border_row(t: Any, first: int, row: int, height: int, width: int, border: int) -> None:
    """Write a row outside of the plane that starts at `first`."""
    inside = within(row, height, border)
    if inside < 0:
        _cleared(t, first + row * width, width)
    else:
        _copied(t, first + inside * width, first + row * width, width)
