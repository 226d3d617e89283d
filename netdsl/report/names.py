"""The node of a name: an output, a layer, a block, or a name given in the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from netdsl.elaborate.naming import Naming
from netdsl.ir import Graph, Node, Value
from netdsl.ops.base import LibraryOp
from netdsl.source import Diagnostic, NetError, suggest

#: the most suggestions in a message
OFFERED = 3


def find_node(graph: Graph, name: str, names: Iterable[Naming] = ()) -> Node:
    """The node that computes an output, layer, block or named tensor; raises NetError with similar names.

    For a block, it is the last layer that is read outside of it.  A name that is assigned twice means the last value.
    """
    value = graph.outputs.get(name, Value(name))
    if value.node in graph:
        return graph[value.node]
    if name in graph.scopes:
        return _result(graph, name)
    given = {n.path: n.value for n in names}
    if name in given:
        return graph[given[name].node]
    fix = nearest(graph, name, given)
    raise NetError(Diagnostic("name", f"nothing in the network is called {name}", fix=fix))


def _result(graph: Graph, path: str) -> Node:
    inside = [n for n in graph if n.id.startswith(f"{path}.") and isinstance(n.op, LibraryOp)]
    names = {n.id for n in inside}
    read = (
        n
        for n in inside
        if any(graph.is_result(v) or any(u.id not in names for u, _ in graph.users(v)) for v in n.outputs)
    )
    return list(read)[-1]


def nearest(graph: Graph, name: str, given: Iterable[str]) -> str:
    """A hint for an unknown name; `given` are the names of tensors."""
    layers = [n.id for n in graph if isinstance(n.op, LibraryOp) or n.op.name == "input"]
    known = dict.fromkeys([*graph.outputs, *layers, *graph.scopes, *given])
    ends = [k for k in known if k.endswith(f".{name}")]
    if ends:
        more = f" or another of {len(ends)}" if len(ends) > OFFERED else ""
        return f"did you mean {', '.join(ends[:OFFERED])}{more}?"
    near = suggest(name, known)
    return f"did you mean {near}?" if near else "netdsl shapes lists the layers"


def names_of_values(names: Iterable[Naming]) -> Mapping[str, tuple[str, ...]]:
    """For each node the names of what it makes; a name that is given again is that of the last.

    What a block only passes on, such as `shortcut = in`, is named outside of it.
    """
    last = {n.path: n for n in names}
    found: dict[str, list[str]] = {}
    for path, naming in last.items():
        if naming.value.node.startswith(naming.body):
            found.setdefault(naming.value.node, []).append(path)
    return {node: tuple(paths) for node, paths in found.items()}


def names_of_parts(graph: Graph, names: Iterable[Naming]) -> Mapping[str, tuple[str, ...]]:
    """For each node the names of what it was made for: the layers of `c3 = x -> conv(8, 3) -> tanh` are of c3."""
    ids: Sequence[str] = [node.id for node in graph]
    found: dict[str, dict[str, None]] = {}
    for naming in names:
        for k in naming.made:
            found.setdefault(ids[k], {})[naming.path] = None
    return {node: tuple(paths) for node, paths in found.items()}
