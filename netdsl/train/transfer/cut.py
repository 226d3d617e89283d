"""A graph of ops cut at some of its values: what computes them, and what goes on from them."""

from __future__ import annotations

from collections.abc import Collection

from netdsl.ir import Graph, Value
from netdsl.primitives import Input, PrimitiveBuilder

CUT = "cut/"
"""What the names of the inputs start with that stand for values: no input of a network has a slash."""


def cut_name(value: Value) -> str:
    """The name of the input that stands for a value."""
    return f"{CUT}{value.node}.{value.port}"


def before(graph: Graph, values: Collection[Value]) -> Graph:
    """The part that computes `values`, its outputs by `cut_name`."""
    return _part(graph.with_outputs({cut_name(v): v for v in values}), frozenset())


def behind(graph: Graph, values: Collection[Value]) -> Graph:
    """The part that computes the outputs from `values`, which become inputs."""
    return _part(graph, frozenset(values))


def _part(graph: Graph, given: frozenset[Value]) -> Graph:
    """What the outputs need, where `given` values are fed."""
    needed = set[Value](graph.outputs.values())
    for node in reversed(tuple(graph)):
        if any(v in needed and v not in given for v in node.outputs):
            needed.update(node.inputs)
    b, env = PrimitiveBuilder(), dict[Value, Value]()
    for node in graph:
        wanted = [v for v in node.outputs if v in needed]
        for v in wanted:
            if v in given:
                env[v] = b.like(node, Input(graph.type(v)), name=cut_name(v))[0]
        if any(v not in given for v in wanted):
            operands = [env[v] for v in node.inputs]
            new = b.like(node, node.op, *operands)
            env.update({old: v for old, v in zip(node.outputs, new, strict=True) if old not in given})
    outputs = {name: env[v] for name, v in graph.outputs.items()}
    return b.finish(outputs, graph.aux & outputs.keys(), graph.scopes)
