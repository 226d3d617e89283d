"""The rows of the reports, computed from a graph of ops; counts are per sample and exact integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.ir import Graph, Node, Value
from netdsl.ops.base import LibraryOp
from netdsl.source import Span


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, or an input of the network.

    `shape` has no batch axis.  `params` counts the weights that this layer is the first to use; `shared` names
    the layer whose weights it uses again.  `macs` are multiply-adds, `flops` floating-point operations.
    """

    name: str
    kind: str
    settings: str
    shape: tuple[int, ...]
    params: int
    trainable: int
    macs: int
    flops: int
    shared: str | None
    span: Span | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the rows; `states` are the elements of running statistics, which nobody counts as parameters."""

    params: int
    trainable: int
    states: int
    macs: int
    flops: int
    activations: int


@dataclass(frozen=True)
class Summary:
    """The rows of a network in order, and their totals."""

    network: str
    rows: tuple[Row, ...]
    totals: Totals
    outputs: dict[str, tuple[int, ...]]

    def __str__(self) -> str:
        from netdsl.report.render import render_table

        return render_table(self, width=100)


def summarize(network: str, graph: Graph) -> Summary:
    """The summary of a graph of ops that was elaborated with batch size 1."""
    rows = tuple(_rows(graph))
    totals = Totals(
        params=sum(r.params for r in rows),
        trainable=sum(r.trainable for r in rows),
        states=sum(n.types[0].size for n in graph.leaves("state")),
        macs=sum(r.macs for r in rows),
        flops=sum(r.flops for r in rows),
        activations=sum(t.size for n in graph if isinstance(n.op, LibraryOp) for t in n.types),
    )
    shapes = {name: graph.type(v).shape[1:] for name, v in graph.outputs.items()}
    return Summary(network, rows, totals, shapes)


def _rows(graph: Graph) -> Iterator[Row]:
    owner: dict[str, str] = {}
    for node in graph:
        if node.op.name == "input":
            yield Row(node.id, "input", "", node.types[0].shape[1:], 0, 0, 0, 0, None, node.span)
        elif isinstance(node.op, LibraryOp):
            yield _layer(graph, node, node.op, owner)


def _layer(graph: Graph, node: Node, op: LibraryOp, owner: dict[str, str]) -> Row:
    weights = [graph[v.node] for v in node.inputs if graph[v.node].op.name == "param"]
    new = [w for w in weights if owner.setdefault(w.id, node.id) == node.id]
    shared = next((owner[w.id] for w in weights if owner[w.id] != node.id), None)
    types = [graph.type(v) for v in node.inputs]
    return Row(
        name=node.id,
        kind=op.name,
        settings=str(op)[len(op.name) :].strip("{}"),
        shape=graph.type(Value(node.id)).shape[1:],
        params=sum(w.types[0].size for w in new),
        trainable=sum(w.types[0].size for w in new if getattr(w.op, "trainable", True)),
        macs=op.macs(*types),
        flops=op.flops(*types),
        shared=shared,
        span=node.span,
    )
