"""The axes of an iteration space, merged where every operand runs through them without a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """An axis of the space: its size, whether it is reduced, and the bytes that each operand moves along it."""

    size: int
    reduced: bool
    strides: tuple[int, ...]


def axes_of(
    space: Sequence[int], operands: Sequence[Sequence[int]], reduced: Sequence[int] = ()
) -> list[Axis]:
    """The merged axes of a space, outermost first; one axis of size 1 for a space without any."""
    axes: list[Axis] = []
    for k, size in enumerate(space):
        if size == 1:
            continue
        new = Axis(size, k in reduced, tuple(s[k] for s in operands))
        last = axes[-1] if axes else None
        if last is not None and last.reduced == new.reduced and _joins(last, new):
            axes[-1] = Axis(last.size * size, new.reduced, new.strides)
        else:
            axes.append(new)
    return axes or [Axis(1, False, (0,) * len(operands))]


def _joins(outer: Axis, inner: Axis) -> bool:
    return all(a == b * inner.size for a, b in zip(outer.strides, inner.strides, strict=True))


def elements(space: Sequence[int]) -> int:
    """Size of a space."""
    return math.prod(space)
