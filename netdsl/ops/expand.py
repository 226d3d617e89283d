"""From ops to primitives."""

from __future__ import annotations

from netdsl.ir import Graph, Node, Value, transform
from netdsl.ops.accumulator import Accumulator, Sum
from netdsl.ops.base import LibraryOp
from netdsl.primitives import PrimitiveBuilder


def expand(graph: Graph, training: bool = False, sums: dict[str, tuple[Sum, ...]] | None = None) -> Graph:
    """Every library op of the graph written out in primitives; leaves and primitives stay.

    In training mode batch norm uses the statistics of the batch and updates its running ones, and dropout
    drops; random ops add the input `key`.  `sums` takes down what losses and metrics add up, by node.
    """

    def visit(b: PrimitiveBuilder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if not isinstance(node.op, LibraryOp):
            return None
        with b.within(node):
            if sums is None or not isinstance(node.op, Accumulator):
                return node.op.expand(b, *inputs)
            sums[node.id] = node.op.sums(b, *inputs)
            return (node.op.combine(b, *sums[node.id]),)

    return transform(graph, visit, PrimitiveBuilder(training=training))
