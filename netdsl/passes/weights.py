"""Find the nodes that depend on weights alone: a program computes them once per set of weights."""

from __future__ import annotations

from netdsl.ir import Graph


def weight_only(graph: Graph) -> frozenset[str]:
    """Constants, params and states that the graph does not update, and all that is computed from only these."""
    fixed: set[str] = set()
    for node in graph:
        kind = node.op.name
        if kind in ("param", "state"):
            if node.id not in graph.updates:
                fixed.add(node.id)
        elif kind == "const" or (node.inputs and all(v.node in fixed for v in node.inputs)):
            fixed.add(node.id)
    return frozenset(fixed)
