"""The verifier that runs after every pass."""

from __future__ import annotations

from netdsl.ir.graph import Graph, Node, Value


class VerifyError(Exception):
    """A graph breaks an invariant: a fault of a pass, never of the user."""


def verify(graph: Graph) -> Graph:
    """Check order, ports, types and results; returns the graph, raises VerifyError."""
    seen: dict[str, Node] = {}
    for node in graph:
        for value in node.inputs:
            _defined(value, seen, f"{node.id} reads")
        inferred = node.op.infer(*(graph.type(v) for v in node.inputs))
        if inferred != node.types:
            raise VerifyError(f"{node.id}: has {_types(node.types)}, its rule says {_types(inferred)}")
        seen[node.id] = node
    for name, value in graph.outputs.items():
        _defined(value, seen, f"output {name} is")
    for leaf, value in graph.updates.items():
        if leaf not in seen or seen[leaf].op.name not in ("param", "state"):
            raise VerifyError(f"update of {leaf}, which is not a param or state")
        _defined(value, seen, f"the update of {leaf} is")
        if graph.type(value) != seen[leaf].types[0]:
            raise VerifyError(f"{leaf} is {seen[leaf].types[0]}, its update {graph.type(value)}")
    return graph


def _defined(value: Value, seen: dict[str, Node], what: str) -> None:
    if value.node not in seen:
        raise VerifyError(f"{what} {value}, which is not defined before it")
    if not 0 <= value.port < len(seen[value.node].types):
        raise VerifyError(f"{what} {value}: there is no such result")


def _types(types: tuple[object, ...]) -> str:
    return ", ".join(map(str, types))
