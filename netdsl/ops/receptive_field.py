"""Receptive fields: which cells of the input, per spatial axis, one output cell can see.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019; behind upsampling
neighbours see windows of different sizes, so that a field is a pattern that repeats and not one window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from netdsl.ir import Graph, Node, Value
from netdsl.ops.base import LibraryOp, Reach

MAX_PERIOD = 2048
"""Cells after which a pattern repeats, at most; a longer one is replaced by a bound."""

Place = int | Fraction | float
Span = tuple[Place, Place]
NOTHING: Span = (math.inf, -math.inf)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Cell i sees the input's cells from `spans[i % n][0]` to below `spans[i % n][1]`, both `step` on after n cells.

    Cells before 0 lie in the padding; `NOTHING` is the span of a cell that sees none.
    """

    spans: tuple[Span, ...] = ((0, 1),)
    step: Place = 1

    @property
    def jump(self) -> Fraction:
        """Input cells between neighbours, on average."""
        return Fraction(self.step) / len(self.spans)

    @property
    def size(self) -> int:
        """Cells from the first to the last one seen, of the cell that sees most; whole ones in a bound."""
        return max((math.ceil(stop - start) for start, stop in self.spans if start < stop), default=0)

    def at(self, cell: int) -> Span:
        """What a cell sees, from the first to after the last."""
        turn, k = divmod(cell, len(self.spans))
        start, stop = self.spans[k]
        return start + turn * self.step, stop + turn * self.step

    def bound(self) -> Span:
        """Where cell 0 would begin and end if every cell saw the same window, `jump` apart, and no less than now."""
        starts, stops = zip(*self.spans, strict=True)
        back = [k * self.jump for k in range(len(self.spans))]
        return min(map(_minus, starts, back)), max(map(_minus, stops, back))


@lru_cache(maxsize=4096)
def through(seen: Pattern, window: Reach) -> Pattern:
    """What the cells behind a window see of the input, where the cells before it see `seen`."""
    whole = len(seen.spans) * window.unit
    period = whole // math.gcd(whole, window.stride)
    if period > MAX_PERIOD:
        return _bounded(seen, window)
    turn = min(window.size, whole // math.gcd(whole, window.dilation))
    # Taps a turn apart see the same but for the step: the first and the last of them are enough.
    taps = {*range(turn), *range(window.size - turn, window.size)}
    spans = (_hull([seen.at(c) for k in taps for c in window.cells(cell, k)]) for cell in range(period))
    return Pattern(tuple(spans), seen.step * (period * window.stride // whole))


def _bounded(seen: Pattern, window: Reach) -> Pattern:
    """The same as one window for all cells, somewhat too large."""
    start, stop = seen.bound()
    unit = seen.jump / window.unit
    last = (window.size - 1) * window.dilation - window.pad
    first = start - (window.pad + window.unit - 1) * unit
    return Pattern(((first, stop + (last + window.unit - 1) * unit),), unit * window.stride)


def merged(patterns: Sequence[Pattern], size: int) -> Pattern:
    """What the cells of an axis of `size` cells see that read several others at the same place."""
    different = tuple(dict.fromkeys(patterns))
    if len(different) == 1:
        return different[0]
    jump = max(p.jump for p in different)
    period = math.lcm(*(len(p.spans) for p in different))
    if any(p.jump != jump for p in different):
        period = size  # their windows drift apart: cell by cell
    if period > MAX_PERIOD:
        return Pattern((_hull([_drifted(p, jump, size) for p in different]),), jump)
    return Pattern(tuple(_hull([p.at(c) for p in different]) for c in range(period)), period * jump)


def _drifted(seen: Pattern, jump: Fraction, size: int) -> Span:
    """The bound of a pattern for an axis of `size` cells whose windows are `jump` apart, no less than its own."""
    start, stop = seen.bound()
    return _minus(start, (size - 1) * (jump - seen.jump)), stop


def _hull(spans: Sequence[Span]) -> Span:
    return min((s for s, _ in spans), default=math.inf), max((s for _, s in spans), default=-math.inf)


def _minus(a: Place, b: Fraction) -> Place:
    return a if math.isinf(a) else a - b


@dataclass(frozen=True, slots=True)
class Field:
    """Along one axis, what the cells of a value see over all paths, and over the path that sees least."""

    all: Pattern = Pattern()
    least: Pattern = Pattern()

    @property
    def start(self) -> Place:
        """The first input cell that the first cell sees; below 0 in the padding."""
        return next((start for start, stop in self.all.spans if start < stop), 0)

    @property
    def jump(self) -> Fraction:
        """Input cells between neighbours."""
        return self.all.jump

    @property
    def size(self) -> int:
        """Cells from the first to the last one seen."""
        return self.all.size

    @property
    def smallest(self) -> int:
        """The same over the path that sees least."""
        return self.least.size

    def through(self, window: Reach) -> Field:
        """The field of a window over cells that have this field."""
        return Field(through(self.all, window), through(self.least, window))


Fields = tuple[Field, ...]


def receptive_fields(graph: Graph) -> Mapping[str, Fields | None]:
    """The fields of every node, one per spatial axis of the input; None for cells that see all of it."""
    fields: dict[str, Fields | None] = {}
    for node in graph:
        if node.op.name == "input":
            fields[node.id] = (Field(),) * len(node.types[0].shape[1:-1])
        elif isinstance(node.op, LibraryOp):
            fields[node.id] = _through(graph, node, node.op, fields)
    return fields


def receptive_field(graph: Graph, value: Value) -> tuple[int, ...]:
    """Cells of the input per spatial axis; the largest over all paths.  Empty for an input without spatial axes.

    Ops that see a whole map (global pooling, flatten) make it the size of the input.
    """
    found = receptive_fields(graph).get(value.node)
    return whole_input(graph) if found is None else tuple(field.size for field in found)


def whole_input(graph: Graph) -> tuple[int, ...]:
    """The spatial size of the input, of the largest one where there are several."""
    return max((n.types[0].shape[1:-1] for n in graph.leaves("input")), default=(), key=len)


def _through(graph: Graph, node: Node, op: LibraryOp, fields: Mapping[str, Fields | None]) -> Fields | None:
    sources = [v for v in node.inputs[: op.seen_operands] if v.node in fields]
    reach = op.reach([graph.type(v) for v in node.inputs], node.types[0])
    if reach is None or any(fields[v.node] is None for v in sources):
        return None
    before = _merged([(fields[v.node] or (), graph.type(v).shape[1:-1]) for v in sources])
    if len(before) != len(reach):
        return before if not reach else None
    return tuple(field.through(window) for field, window in zip(before, reach, strict=True))


def _merged(operands: Sequence[tuple[Fields, tuple[int, ...]]]) -> Fields:
    """The fields of operands that are read cell by cell, from theirs and their spatial sizes."""
    rank = max((len(f) for f, _ in operands), default=0)
    maps = [(f, shape) for f, shape in operands if len(f) == rank]
    axes = [[(f[k], shape[k] if k < len(shape) else 1) for f, shape in maps] for k in range(rank)]
    return tuple(_merged_axis(axis) for axis in axes)


def _merged_axis(operands: Sequence[tuple[Field, int]]) -> Field:
    size = max(n for _, n in operands)
    fields = [field if n == size else Field(_same(field.all), _same(field.least)) for field, n in operands]
    least = min((f.least for f in fields), key=lambda p: p.size)
    return Field(merged([f.all for f in fields], size), least)


def _same(seen: Pattern) -> Pattern:
    """One cell that is read in the place of all."""
    return Pattern((seen.at(0),), 0)
