"""A tensor expression over a network that is built already, as in `train { loss = ... }`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.elaborate.apply import Applier
from netdsl.elaborate.budget import Budget, Exhausted
from netdsl.elaborate.context import Context, Frame, Problems
from netdsl.elaborate.definitions import Definitions, collect
from netdsl.elaborate.expressions import ExpressionEvaluator
from netdsl.elaborate.lookup import need_defined
from netdsl.elaborate.network import Network
from netdsl.elaborate.overrides import parse_value
from netdsl.elaborate.values import describe
from netdsl.ir import Graph, Value
from netdsl.process import deep_recursion
from netdsl.source import Diagnostic, NetError, Span
from netdsl.syntax import tree
from netdsl.syntax.parse import parse

NOWHERE = Definitions({}, {}, {})


def add_to_network(network: Network, text: str, name: str) -> Graph:
    """The objective, or the net without one, with the value of `text` as a further output called `name`.

    The text sees what a loss sees, and `loss` itself; labels that a loss names are inputs.  Raises NetError.
    """
    budget = Budget()
    home = collect(parse(network.source), network.source, budget)
    known: dict[str, Any] = dict(network.settings)
    known |= {n.name: n.value for n in network.names if not n.body}
    return _added(network.objective or network.graph, known, home, budget, text, name)


def add_to_graph(graph: Graph, text: str, name: str) -> Graph:
    """The same for a graph of ops, in which only inputs and outputs have names."""
    return _added(graph, {}, NOWHERE, Budget(), text, name)


def _added(
    graph: Graph, known: Mapping[str, Any], home: Definitions, budget: Budget, text: str, name: str
) -> Graph:
    e = parse_value("the call", f"gradient({name} = ", text, name)
    context = Context(graph.leaves("input")[0].types[0].shape[0], budget, Problems())
    context.builder.nodes.update((n.id, n) for n in graph)
    context.builder.scopes.update(graph.scopes)
    inputs = {n.id: Value(n.id) for n in graph.leaves("input")}
    frame = Frame(home, f"{name}.", {**inputs, **known, **graph.outputs}, targets=True, cells=True)
    try:
        with deep_recursion():
            value = ExpressionEvaluator(context, frame, Applier(context, frame)).evaluate(e)
            need_defined(context, frame, value)
    except Exhausted as end:
        raise NetError(end.diagnostic) from None
    _check(context, graph, value, e, name)
    return context.builder.finish({**graph.outputs, name: value}, graph.aux)


def _check(context: Context, graph: Graph, value: Any, e: tree.Expr, name: str) -> None:
    """Raise NetError for a value without a gradient, or with weights of its own."""
    if not isinstance(value, Value):
        fix = "an output, or a loss such as cross_entropy(logits, label)"
        raise _error("type", f"`{name}` is {describe(value)}, not a tensor", e.span, fix)
    dtype = context.builder.type(value).dtype
    if dtype != "f32":
        kind = "truth values" if dtype == "bool" else "integers"
        raise _error("type", f"`{name}` holds {kind}, which have no gradient", e.span)
    for node in context.builder.nodes.values():
        if node.op.name in ("param", "state") and node.id not in graph:
            raise _error("type", f"{node.id} is a weight that the network does not have", node.span or e.span)


def _error(code: str, message: str, span: Span, fix: str | None = None) -> NetError:
    return NetError(Diagnostic(code, message, span, fix=fix))
