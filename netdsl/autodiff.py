"""Reverse-mode differentiation as a graph transformation over primitives.

It runs before fusion, so that backward code is fused, scheduled and memory-planned with the rest.  Each
primitive carries its rule (`vjp`); this file only walks backwards and adds up.  What it appends are primitives
again, so gradients have gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from netdsl.ir import Graph, TensorType, Value
from netdsl.primitives import Map, PrimitiveBuilder
from netdsl.scalar import Lit


def grad(graph: Graph, loss: str, wrt: Sequence[str]) -> Graph:
    """The graph with outputs `grad/NAME` for every leaf `NAME` in `wrt` added.

    `loss` names a scalar f32 output.  Leaves that the loss does not depend on get a gradient of zeros.
    Source: reverse accumulation, Linnainmaa 1970.  Raises ValueError when the loss is not a scalar.
    """
    builder = PrimitiveBuilder(graph)
    builder.updates.update(graph.updates)
    grads = gradients(builder, graph.outputs[loss], [Value(name) for name in wrt])
    outputs = {**graph.outputs, **{f"grad/{v.node}": g for v, g in grads.items()}}
    return builder.finish(outputs, graph.aux, graph.scopes)


def gradients(b: PrimitiveBuilder, loss: Value, wrt: Sequence[Value]) -> Mapping[Value, Value]:
    """Append the backward pass of `loss` to `b`; returns the gradient of each value of `wrt`."""
    if b.type(loss) != TensorType(()):
        raise ValueError(f"only a scalar f32 has a gradient; {loss} is {b.type(loss)}")
    return vector_jacobian(b, [(loss, b.map_expr(Lit(1.0), shape=()))], wrt)


def hessian_vector(
    b: PrimitiveBuilder, grads: Mapping[Value, Value], vectors: Mapping[Value, Value]
) -> Mapping[Value, Value]:
    """Append the product of the Hessian with `vectors`, a value for each that `grads` has the gradient of.

    That is the gradient of the sum of `grads * vectors`, in which the vectors stay.  Source: Pearlmutter 1994.
    """
    return vector_jacobian(b, [(g, vectors[v]) for v, g in grads.items()], list(grads))


def vector_jacobian(
    b: PrimitiveBuilder, seeds: Iterable[tuple[Value, Value]], wrt: Sequence[Value]
) -> Mapping[Value, Value]:
    """Append the gradient of the sum over the `seeds` (value, weights of its elements) of `value * weights`."""
    nodes = list(b.nodes.values())
    needed = _depends_on(b, {v.node for v in wrt})
    grads: dict[Value, Value] = {}
    for value, weights in seeds:
        _accumulate(b, grads, value, weights)
    for node in reversed(nodes):
        arrived = [grads.get(v) for v in node.outputs]
        if not node.inputs or node.id not in needed or not any(arrived):
            continue
        with b.within(node, f"grad/{node.id}"):
            parts = node.op.vjp(b, node.inputs, node.outputs, arrived)
            for value, part in zip(node.inputs, parts, strict=True):
                if part is not None and value.node in needed:
                    _accumulate(b, grads, value, part)
    return {v: grads.get(v) or _zeros(b, v) for v in wrt}


def _zeros(b: PrimitiveBuilder, value: Value) -> Value:
    with b.on(b.nodes[value.node].gpu):
        return b.add1(Map((Lit(0.0),), b.type(value).shape))


def _accumulate(b: PrimitiveBuilder, grads: dict[Value, Value], value: Value, part: Value) -> None:
    old = grads.get(value)
    with b.on(b.nodes[value.node].gpu):
        grads[value] = part if old is None else b.map(lambda x, y: x + y, old, part)


def _depends_on(b: PrimitiveBuilder, leaves: set[str]) -> set[str]:
    """The nodes that one of the leaves reaches: only they need gradients."""
    needed = set(leaves)
    for node in b.nodes.values():
        if any(v.node in needed for v in node.inputs):
            needed.add(node.id)
    return needed
