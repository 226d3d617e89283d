"""The part of a net that says of a sample the same in every step: frozen, and nothing random before or in it."""

from __future__ import annotations

from collections.abc import Set

from netdsl.ir import Graph, Node, Value
from netdsl.ops.accumulator import Accumulator
from netdsl.ops.base import LibraryOp
from netdsl.ops.expand import expand
from netdsl.primitives import Input, Param, PrimitiveBuilder
from netdsl.primitives.leaf import learns


def trunk_values(graph: Graph, inputs: Set[str]) -> tuple[Value, ...]:
    """Where the part of an objective ends that says of a sample the same in every step.

    That part depends on the network's `inputs`; nothing in it learns, draws random numbers or looks at the rest of
    the batch.  Empty where there are no weights in it.
    """
    still, of_samples = set[str](), set[str]()
    for node in graph:
        if _is_still(graph, node, inputs, still):
            still.add(node.id)
            if node.id in inputs or any(v.node in of_samples for v in node.inputs):
                of_samples.add(node.id)
    trunk = of_samples - inputs
    if not any(isinstance(graph[v.node].op, Param) for name in trunk for v in graph[name].inputs):
        return ()
    results = set(graph.outputs.values())
    return tuple(
        v
        for name in (n.id for n in graph if n.id in trunk)
        for v in graph[name].outputs
        if v in results or any(user.id not in trunk for user, _ in graph.users(v))
    )


def _is_still(graph: Graph, node: Node, inputs: Set[str], still: Set[str]) -> bool:
    op = node.op
    if isinstance(op, Input):
        return node.id in inputs
    if not isinstance(op, LibraryOp):
        return not learns(op)
    if isinstance(op, Accumulator) or any(v.node not in still for v in node.inputs):
        return False
    return all(graph.type(v).rank for v in node.outputs) and _has_no_mode(graph, node)


def _has_no_mode(graph: Graph, node: Node) -> bool:
    """Whether an op is the same in training as in inference, where none is random and batches do not count."""
    b = PrimitiveBuilder()
    operands = [b.add1(Input(graph.type(v))) for v in node.inputs]
    alone = b.finish({str(k): v for k, v in enumerate(b.add(node.op, *operands))})
    training = expand(alone, training=True)
    return str(training) == str(expand(alone)) and len(training.leaves("input")) == len(operands)
