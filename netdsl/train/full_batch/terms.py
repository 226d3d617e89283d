"""A loss as a sum of terms: whether it adds up over the pieces of a set, and whether it is made of residuals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.ir import Graph, Node, Value
from netdsl.ops.accumulator import Mean
from netdsl.ops.elementwise_loss import Mse
from netdsl.ops.penalty import L2
from netdsl.primitives import Const, Input, PrimitiveBuilder
from netdsl.source import Diagnostic, NetError


@dataclass(frozen=True)
class Term:
    """A scalar of the graph and the number that it is multiplied by."""

    factor: float
    node: Node


def terms(objective: Graph) -> list[Term]:
    """The terms of a loss: sums, differences and multiples are taken apart, all else is a term."""
    return [*_terms(objective, objective.outputs["loss"], 1.0)]


def _terms(graph: Graph, value: Value, factor: float) -> Iterator[Term]:
    node = graph[value.node]
    operands = [graph[v.node] for v in node.inputs]
    numbers = [_number(n) for n in operands]
    match node.op.name, numbers:
        case ("add" | "sub") as name, [_, _]:
            yield from _terms(graph, node.inputs[0], factor)
            yield from _terms(graph, node.inputs[1], factor if name == "add" else -factor)
        case "mul", [float(k), _]:
            yield from _terms(graph, node.inputs[1], factor * k)
        case "mul", [_, float(k)]:
            yield from _terms(graph, node.inputs[0], factor * k)
        case "div", [_, float(k)] if k:
            yield from _terms(graph, node.inputs[0], factor / k)
        case _:
            yield Term(factor, node)


def _number(node: Node) -> float | None:
    return float(node.op.value) if isinstance(node.op, Const) and node.types[0].rank == 0 else None


def adds_up(objective: Graph) -> bool:
    """Whether the loss of a set is the mean of those of its pieces, weighted by their sizes.

    It is not where what a mean is divided by depends on the samples, as under `ignore_index`, or for the root of a
    mean.
    """
    return all(_is_mean(objective, t.node) or _of_weights(objective, t.node) for t in terms(objective))


def _is_mean(objective: Graph, node: Node) -> bool:
    """Whether a scalar is a sum over the samples, divided by a number that their count says."""
    if not isinstance(node.op, Mean):
        return False
    b = PrimitiveBuilder()
    inputs = [b.add1(Input(objective.type(v))) for v in node.inputs]
    return isinstance(node.op.sums(b, *inputs)[1], int)


def _of_weights(objective: Graph, node: Node) -> bool:
    import networkx

    before = networkx.ancestors(objective.nx, node.id)
    return not any(n.id in before for n in objective.leaves("input"))


def residual_terms(objective: Graph, method: str) -> list[Term]:
    """The terms of a loss that is a sum of squares; raises NetError for any other."""
    found = [t for t in terms(objective) if t.factor and _number(t.node) is None]
    for term in found:
        name = term.node.op.name
        if not isinstance(term.node.op, (Mse, L2)):
            message = f"{method} takes a loss that is made of residuals, and {name} is none"
            raise NetError(
                Diagnostic(
                    "loss", message, term.node.span, fix="mse and l2 are; newton and lbfgs take any loss"
                )
            )
        if term.factor < 0:
            message = f"{method} takes a sum of squares, and {name} is subtracted here"
            raise NetError(Diagnostic("loss", message, term.node.span, fix="lbfgs takes any loss"))
    return found
