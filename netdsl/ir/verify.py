"""The verifier that runs after every pass."""

from __future__ import annotations

from netdsl.ir.graph import Graph, Node, Value


class VerifyError(Exception):
    """A graph breaks an invariant: a bug in a pass, never a mistake of the user."""


def verify(graph: Graph, known: Graph | None = None) -> Graph:
    """Check order, ports, types and results; returns the graph, raises VerifyError.

    Every operand comes before its readers, so the graph has no cycle: `is_directed_acyclic_graph` could find no more.

    `known` is a verified graph, the one before a pass: the types of a node that both share, over operands of
    the same types, are not inferred again.
    """
    seen: dict[str, Node] = {}
    for node in graph:
        for value in node.inputs:
            _defined(value, seen, node.id)
        if known is None or not _unchanged(node, graph, known):
            inferred = node.op.infer(*(graph.type(v) for v in node.inputs))
            if inferred != node.types:
                raise VerifyError(f"{node.id}: has {_types(node.types)}, its rule says {_types(inferred)}")
        seen[node.id] = node
    for name, value in graph.outputs.items():
        _defined(value, seen, "output", name)
    for leaf, value in graph.updates.items():
        if leaf not in seen or seen[leaf].op.name not in ("param", "state"):
            raise VerifyError(f"update of {leaf}, which is not a param or state")
        _defined(value, seen, "the update of", leaf)
        if graph.type(value) != seen[leaf].types[0]:
            raise VerifyError(f"{leaf} is {seen[leaf].types[0]}, its update {graph.type(value)}")
    return graph


def _unchanged(node: Node, graph: Graph, known: Graph) -> bool:
    if node.id not in known or known[node.id] is not node:
        return False
    return all(graph.type(v) == known.type(v) for v in node.inputs)


def _defined(value: Value, seen: dict[str, Node], *reader: str) -> None:
    if value.node not in seen:
        raise VerifyError(f"{' '.join(reader)} reads {value}, which is not defined before it")
    if not 0 <= value.port < len(seen[value.node].types):
        raise VerifyError(f"{' '.join(reader)} reads {value}: there is no such result")


def _types(types: tuple[object, ...]) -> str:
    return ", ".join(map(str, types))
