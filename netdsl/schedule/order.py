"""The execution order: as built, but every update of a leaf as early as possible."""

from __future__ import annotations

from netdsl.ir import Graph, Node, Value
from netdsl.ir.graph import RESULTS
from netdsl.primitives import Map, PrimitiveBuilder, Reshape
from netdsl.scalar import Arg

LEAVES = ("input", "param", "state", "const")


def separated(graph: Graph) -> Graph:
    """The graph with a copy of every result that is a leaf, so that results have memory of their own.

    Without it the output `old = w` of a graph that updates `w` would show the new value.
    """
    b = PrimitiveBuilder(graph)
    b.updates.update(graph.updates)

    def own(value: Value) -> Value:
        with b.on(graph[value.node].gpu):
            return b.add1(Map((Arg(0),)), value) if is_leaf(graph, value) else value

    outputs = {name: own(v) for name, v in graph.outputs.items()}
    b.updates.update({leaf: own(v) for leaf, v in graph.updates.items()})
    return b.finish(outputs, graph.aux, graph.scopes)


def base_of(graph: Graph, value: Value) -> Value:
    """What a value is a reshape of."""
    while isinstance(graph[value.node].op, Reshape):
        value = graph[value.node].inputs[0]
    return value


def is_leaf(graph: Graph, value: Value) -> bool:
    """Whether a value is a leaf, seen through reshapes."""
    node = graph[base_of(graph, value).node]
    return not node.inputs and node.op.name in LEAVES


def execution_order(graph: Graph) -> tuple[Node, ...]:
    """All nodes in a topological order in which the new value of a leaf comes after every reader of the old.

    New values are computed as early as possible: gradients then live for a short time, and the weight is still in
    the cache.  Where two leaves each need the other's old value no such order exists; the node then keeps its
    place and the schedule copies.
    """
    if not graph.updates:
        return tuple(graph)
    import networkx

    place = {node.id: k for k, node in enumerate(graph)}
    waits = networkx.DiGraph(graph.nx)
    waits.remove_node(RESULTS)
    for writer in {v.node for v in graph.updates.values()}:
        waits.add_edges_from((reader, writer) for reader in _readers(graph, writer) - {writer})
    order: dict[str, Node] = {}
    try:
        for name in networkx.lexicographical_topological_sort(waits, place.__getitem__):
            order[name] = graph[name]
    except networkx.NetworkXUnfeasible:
        order |= {node.id: node for node in graph if node.id not in order}
    return tuple(order.values())


def _readers(graph: Graph, writer: str) -> set[str]:
    """The nodes that read the old value of a leaf whose new value `writer` computes."""
    leaves = [leaf for leaf, v in graph.updates.items() if v.node == writer]
    found: set[str] = set()
    stack = [Value(leaf) for leaf in leaves]
    while stack:
        for node, _ in graph.users(stack.pop()):
            found.add(node.id)
            if node.op.name == "reshape":
                stack.extend(node.outputs)
    return found
