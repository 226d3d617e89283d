"""What a method asks of a piece of the training set, as graphs of primitives.

The outputs for each weight are `grad/NAME`, products go with vectors that are fed as `vector/NAME`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from netdsl.autodiff import gradients, hessian_vector, vector_jacobian
from netdsl.ir import Graph, Value
from netdsl.ops.elementwise_loss import Mse
from netdsl.ops.expand import expand
from netdsl.primitives import Input, Map, PrimitiveBuilder
from netdsl.primitives.leaf import learns
from netdsl.scalar import Expr, Lit, sqrt
from netdsl.train.full_batch.terms import Term, residual_terms
from netdsl.train.measures import Measures

GRADIENT, VECTOR, RESIDUAL, ALONG = "grad/", "vector/", "residual/", "along/"


def gradient_graph(objective: Graph) -> Graph:
    """The `loss`, its gradient, and what loss and metrics add up."""
    graph, sums = Measures(objective).expanded(training=True)
    b = PrimitiveBuilder(graph, training=True)
    loss = graph.outputs["loss"]
    return b.finish({"loss": loss, **sums, **_named(gradients(b, loss, _weights(graph)))})


def hessian_graph(objective: Graph) -> Graph:
    """Products of the Hessian of the loss with a vector."""
    graph = _expanded(objective)
    b = PrimitiveBuilder(graph, training=True)
    grads = gradients(b, graph.outputs["loss"], _weights(graph))
    return b.finish(_named(hessian_vector(b, grads, _vectors(b, list(grads)))))


def jacobian_graph(objective: Graph, method: str) -> Graph:
    """The residuals, `residual/K` for each term, and what the Jacobian makes of a vector, `along/K`."""
    graph, found = _with_terms(objective, method)
    b = PrimitiveBuilder(graph, training=True)
    residuals = [_residual(b, graph, k, term) for k, term in enumerate(found)]
    along = _forward(b, residuals, _weights(graph))
    outputs = {f"{RESIDUAL}{k}": r for k, r in enumerate(residuals)}
    return b.finish(outputs | {f"{ALONG}{k}": a for k, a in enumerate(along)})


def gauss_newton_graph(objective: Graph, method: str) -> Graph:
    """Products of `2 J'J` with a vector, for the Jacobian J of the residuals."""
    graph, found = _with_terms(objective, method)
    b = PrimitiveBuilder(graph, training=True)
    weights = _weights(graph)
    residuals = [_residual(b, graph, k, term) for k, term in enumerate(found)]
    along = [b.map(lambda a: a + a, a) for a in _forward(b, residuals, weights)]
    return b.finish(_named(vector_jacobian(b, zip(residuals, along, strict=True), weights)))


def statistics_graph(objective: Graph) -> Graph:
    """The running statistics of a step, moved; there are no outputs."""
    graph = _expanded(objective)
    b = PrimitiveBuilder(graph, training=True)
    b.updates.update(graph.updates)
    return b.finish({})


def _expanded(objective: Graph) -> Graph:
    return expand(objective.with_outputs({"loss": objective.outputs["loss"]}), True)


def _with_terms(objective: Graph, method: str) -> tuple[Graph, Sequence[Term]]:
    """The network in primitives; the operands of each term of the loss are its outputs `K/NUMBER`."""
    found = residual_terms(objective, method)
    operands = {f"{k}/{n}": v for k, t in enumerate(found) for n, v in enumerate(t.node.inputs)}
    return expand(objective.with_outputs(operands), True), found


def _residual(b: PrimitiveBuilder, graph: Graph, number: int, term: Term) -> Value:
    """The residuals of a term, whose squares add up to it, in one row."""
    operands = [graph.outputs[f"{number}/{n}"] for n in range(len(term.node.inputs))]
    if not isinstance(term.node.op, Mse):
        rows = [_row(b, b.map(lambda w: w * math.sqrt(term.factor), w)) for w in operands]
        return b.concat(rows, 0) if len(rows) > 1 else rows[0]
    shape = b.type(operands[0]).shape
    scale = math.sqrt(term.factor / math.prod(shape))

    def weighted(x: Expr, t: Expr, w: Expr) -> Expr:
        return scale * (x - t) * sqrt(w)

    if len(operands) == 2:
        return _row(b, b.map(lambda x, t: scale * (x - t), *operands))
    weight = b.reshape(operands[2], (shape[0], *(1,) * (len(shape) - 1)))
    return _row(b, b.map(weighted, *operands[:2], weight))


def _row(b: PrimitiveBuilder, value: Value) -> Value:
    return b.reshape(value, (b.type(value).size,))


def _forward(b: PrimitiveBuilder, values: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
    """The Jacobian of the values times the fed vectors.

    It is the derivative of the transposed product by its own factor, in which that is linear.
    """
    factors = [b.add1(Map((Lit(1.0),), b.type(v).shape)) for v in values]
    back = vector_jacobian(b, zip(values, factors, strict=True), weights)
    vectors = _vectors(b, weights)
    found = vector_jacobian(b, [(back[w], vectors[w]) for w in weights], factors)
    return [found[factor] for factor in factors]


def _weights(graph: Graph) -> list[Value]:
    return [Value(n.id) for n in graph.leaves("param") if learns(n.op)]


def _vectors(b: PrimitiveBuilder, weights: Sequence[Value]) -> dict[Value, Value]:
    return {w: b.add1(Input(b.type(w)), name=f"{VECTOR}{w.node}") for w in weights}


def _named(grads: Mapping[Value, Value]) -> dict[str, Value]:
    return {f"{GRADIENT}{v.node}": g for v, g in grads.items()}
