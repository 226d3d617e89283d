"""Networks some of whose weights stay as they are."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from netdsl.ir import Graph, Node, Value, transform
from netdsl.ops.base import LibraryOp
from netdsl.ops.choose import chooses, nearest_weights
from netdsl.primitives import Param, PrimitiveBuilder
from netdsl.source import Diagnostic, NetError


def frozen(graph: Graph, names: Set[str]) -> Graph:
    """The graph of ops in which the weights `names` do not learn, as if `@freeze` stood behind their layers.

    A layer all of whose weights are frozen behaves as it does under `@freeze`: a batch norm as in inference.
    """

    def visit(b: PrimitiveBuilder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        op = node.op
        if isinstance(op, Param) and node.id in names:
            op = replace(op, trainable=False)
        elif isinstance(op, LibraryOp):
            weights = {v.node for v in node.inputs if isinstance(graph[v.node].op, Param)}
            if weights and weights <= names:
                op = op.frozen()
        if op is node.op:
            return None
        return b.like(node, op, *operands)

    return transform(graph, visit, PrimitiveBuilder())


def weights_named(graph: Graph, patterns: Sequence[str]) -> frozenset[str]:
    """The weights that layers or patterns name, as in `l2(weights, "stage*.conv1")`, or that are named themselves.

    Raises NetError for a pattern that fits none.
    """
    weights = [n.id for n in graph.leaves("param")]
    found: set[str] = set()
    for pattern in patterns:
        fit = {w for w in weights if chooses(pattern, w)}
        if not fit:
            layers = list(dict.fromkeys(w.rpartition(".")[0] for w in weights))
            fix = nearest_weights(pattern, weights) or f"layers with weights: {', '.join(layers[:12])}"
            raise NetError(Diagnostic("setting", f"no weight is called {pattern}", fix=fix))
        found |= fit
    return frozenset(found)
