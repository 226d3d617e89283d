"""Parts of kernels: what is outside of a picture."""

from __future__ import annotations

from typing import Any

from netdsl.data.augment.layout import CONSTANT, EDGE, REFLECT
from netdsl.native.numba_ir import inlined


@inlined
def within(place: int, size: int, border: int) -> int:
    """The pixel that stands for the one at a place along an axis; -1: none does."""
    if 0 <= place < size:
        return place
    if border == CONSTANT:
        return -1
    if border == EDGE:
        return 0 if place < 0 else size - 1
    if border == REFLECT:
        if size == 1:
            return 0
        folded = abs(place)
        if folded >= 2 * size - 2:  # a division takes longer than all else
            folded %= 2 * size - 2
        return folded if folded < size else 2 * size - 2 - folded
    near = place + size if place < 0 else place - size
    return near if 0 <= near < size else place % size


@inlined
def extended(x: Any, at: int, out: Any, to: int, count: int, margin: int, border: int, fill: Any) -> None:
    """Copy a row of so many numbers, with what the border gives before and behind it."""
    for i in range(count):
        out[to + margin + i] = x[at + i]
    for i in range(margin):
        before, behind = within(i - margin, count, border), within(count + i, count, border)
        out[to + i] = fill if before < 0 else x[at + before]
        out[to + margin + count + i] = fill if behind < 0 else x[at + behind]
