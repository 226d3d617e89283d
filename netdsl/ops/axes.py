"""Axes as settings: counted without the batch, from 0, or from the end."""

from __future__ import annotations

from typing import Any

from netdsl.ir import ShapeError
from netdsl.ops.settings import integer


def place_of(axis: int, rank: int) -> int:
    """An axis of the shape without the batch among those of the tensor; raises ShapeError."""
    at = axis + rank if axis < 0 else axis + 1
    if not 1 <= at < rank:
        raise ShapeError(f"there is no axis {axis} in rank {rank - 1}", setting="axis")
    return at


def axes_setting(value: Any) -> tuple[int, ...]:
    """One axis or several."""
    entries = value if isinstance(value, (tuple, list)) else (value,)
    if not entries:
        raise ValueError("must name one axis or more")
    return tuple(integer(v) for v in entries)


def resolve_axes(axes: tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    """Axes among those of the tensor, the batch included; None: all but the batch.  Raises ShapeError."""
    if axes is None:
        return tuple(range(1, rank))
    found = tuple(sorted(a + rank if a < 0 else a + 1 for a in axes))
    if len(set(found)) < len(found) or any(not 1 <= a < rank for a in found):
        raise ShapeError(f"axes {list(axes)} are not different axes of rank {rank - 1}", setting="axes")
    return found
