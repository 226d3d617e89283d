"""Loop nests over the axes of an iteration space: their argument blocks, and what a part of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from netdsl.backend.arguments import Address, Arguments, Block, BlockLayout, Ints, extended
from netdsl.backend.axes import Axis
from netdsl.backend.step import Slot
from netdsl.native.emit import Emitter, Value

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
