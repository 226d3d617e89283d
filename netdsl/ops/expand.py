"""From ops to primitives."""

from __future__ import annotations

from netdsl.ir import Graph, Node, Value, transform
from netdsl.ops.base import LibraryOp
from netdsl.primitives import PrimitiveBuilder


def expand(graph: Graph, training: bool = False) -> Graph:
    """Every library op of the graph written out in primitives; leaves and primitives stay.

    In training mode batch norm uses the statistics of the batch and updates its running ones, and dropout
    drops; random ops add the input `key`.
    """
    return transform(graph, _expand_node, PrimitiveBuilder(training=training))


def _expand_node(b: PrimitiveBuilder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    if not isinstance(node.op, LibraryOp):
        return None
    with b.within(node):
        return node.op.expand(b, *inputs)
