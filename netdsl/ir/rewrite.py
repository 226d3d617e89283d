"""The engine for rewrites: visit the nodes in order; a function may replace each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from netdsl.ir.builder import Builder
from netdsl.ir.graph import Graph, Node, Value

B = TypeVar("B", bound=Builder)
Visit = Callable[[B, Node, tuple[Value, ...]], Sequence[Value] | None]


def transform(graph: Graph, visit: Visit[B], builder: B) -> Graph:
    """Rebuild `graph` into `builder`.

    `visit(builder, node, inputs)` gets each node with its already rewritten operands and returns the values
    that stand for its results, or None to keep the node as it is.
    """
    env: dict[Value, Value] = {}
    for node in graph:
        inputs = tuple(env[v] for v in node.inputs)
        new = visit(builder, node, inputs)
        if new is None:
            new = builder.like(node, node.op, *inputs)
        env.update(zip(node.outputs, new, strict=True))
    return rebuilt(graph, builder, env)


def rebuilt(graph: Graph, builder: Builder, env: Mapping[Value, Value]) -> Graph:
    """The builder's graph with the results of `graph`, renamed by `env`; its own updates are kept."""
    for leaf, value in graph.updates.items():
        builder.updates[env[Value(leaf)].node] = env[value]
    outputs = {name: env[v] for name, v in graph.outputs.items()}
    return builder.finish(outputs, graph.aux, graph.scopes)
