"""Receptive fields: which cells of the input, per spatial axis, one output cell can see.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdsl.ir import Graph, Node, Value
from netdsl.ops.base import LibraryOp, Rational, Reach


@dataclass(frozen=True, slots=True)
class Field:
    """Along one axis, cell i sees the input's cells `start + i * jump` to `stop - 1 + i * jump` over all paths.

    `smallest` is the size over the path that sees least.  Cells before 0 lie in the padding.
    """

    start: Rational = 0
    stop: Rational = 1
    jump: Rational = 1
    smallest: Rational = 1

    @property
    def size(self) -> int:
        """Cells from the first to the last one seen, whole ones where upsampling sees parts."""
        return math.ceil(self.stop - self.start)

    def through(self, window: Reach) -> Field:
        """The field of a window over cells that have this field."""
        first = self.start - window.pad * self.jump
        span = (window.size - 1) * window.dilation * self.jump
        last = self.stop - window.pad * self.jump + span
        return Field(first, last, self.jump * window.stride, self.smallest + span)


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
    data = [fields[v.node] for v in node.inputs if v.node in fields]
    types = [graph.type(v) for v in node.inputs]
    reach = op.reach(types, node.types[0])
    known = [f for f in data if f is not None]
    if reach is None or len(known) < len(data):
        return None
    merged = _merged([f for f in known if f])
    if len(merged) != len(reach):
        return merged if not reach else None
    return tuple(field.through(window) for field, window in zip(merged, reach, strict=True))


def _merged(fields: Sequence[Fields]) -> Fields:
    rank = max((len(f) for f in fields), default=0)
    axes = [[f[k] for f in fields if len(f) == rank] for k in range(rank)]
    return tuple(
        Field(
            min(f.start for f in axis),
            max(f.stop for f in axis),
            max(f.jump for f in axis),
            min(f.smallest for f in axis),
        )
        for axis in axes
    )
