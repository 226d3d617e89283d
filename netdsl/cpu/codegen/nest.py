"""Loop nests: axes of an iteration space, merged where every operand runs through them without a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from netdsl.backend.arguments import Address, Arguments, Block, BlockLayout, Ints, extended
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.emit import Emitter, Value


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


_NESTS: dict[tuple[type[Block], int, int, int], BlockLayout] = {}


def nest_layout(header: type[Block], dims: int, tensors: int, counters: int) -> BlockLayout:
    """A header, then the sizes of a nest and for each stream, tensors first, its start and its strides."""
    key = (header, dims, tensors, counters)
    if key in _NESTS:
        return _NESTS[key]
    several = Annotated[Ints, dims]
    each: dict[str, Any] = {}
    for k in range(tensors + counters):
        each |= {f"start{k}": Address if k < tensors else int, f"strides{k}": several}
    _NESTS[key] = extended(header, sizes=several, **each)
    return _NESTS[key]


def nest_arguments(header: type[Block], axes: Sequence[Axis], slots: Sequence[Slot]) -> Arguments:
    """The block of a nest, but for its header; the first streams are tensors in slots, the others are counters."""
    streams = len(axes[0].strides)
    layout = nest_layout(header, len(axes), len(slots), streams - len(slots))
    starts = [*slots, *[0] * (streams - len(slots))]
    strides = zip(*(a.strides for a in axes), strict=True)
    values: dict[str, Any] = {}
    for k, (start, along) in enumerate(zip(starts, strides, strict=True)):
        values[f"start{k}"], values[f"strides{k}"] = start, along
    return Arguments(layout, sizes=[a.size for a in axes], **values)


def share(e: Emitter, total: Value, grain: int = 1) -> tuple[Value, Value]:
    """The first and one past the last unit of this part, multiples of `grain` but for the end."""
    _, part, parts, _ = e.args
    grains = e.b.sdiv(e.add(total, grain - 1), e.i64(grain))
    first, last = (e.mul(e.b.sdiv(e.mul(grains, p), parts), grain) for p in (part, e.add(part, 1)))
    return first, e.min_int(last, total)


def elements(space: Sequence[int]) -> int:
    """Size of a space."""
    return math.prod(space)
