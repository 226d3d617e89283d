"""The same network for another batch size."""

from __future__ import annotations

from netdsl.ir import Graph, Node, TensorType, Value, transform
from netdsl.primitives import Input, PrimitiveBuilder


def with_batch(graph: Graph, batch: int) -> Graph:
    """The graph of ops with `batch` samples per run; where that is another number, every shape is inferred again."""
    shapes = (n.types[0].shape for n in graph.leaves("input"))
    if all(shape[0] == batch for shape in shapes if shape):
        return graph

    def visit(b: PrimitiveBuilder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        shape = node.types[0].shape
        if not isinstance(node.op, Input) or not shape:
            return None
        t = TensorType((batch, *shape[1:]), node.types[0].dtype)
        return b.like(node, Input(t))

    return transform(graph, visit, PrimitiveBuilder())
