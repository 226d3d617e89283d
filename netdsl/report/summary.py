"""The rows of the reports, computed from a graph of ops; counts are per sample and exact integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from netdsl.cost import cost_of, nbytes
from netdsl.elaborate.naming import Naming
from netdsl.ir import Graph, Node, Value
from netdsl.ir.graph import Scope
from netdsl.ops.base import LibraryOp
from netdsl.ops.receptive_field import Fields, receptive_fields, whole_input
from netdsl.report.names import names_of_parts, names_of_values
from netdsl.report.peak_memory import Memory
from netdsl.source import Span


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, or an input of the network.

    `shape` has no batch axis.  `params` counts the weights that this layer is the first to use; `shared` names
    the layer whose weights it uses again.  `macs` are multiply-adds, `flops` floating-point operations, `bytes`
    the size of the results, `moved` that of operands, weights and results together.  `field` is the receptive field
    per spatial axis of the input, None where a cell sees the whole input; `sources` names the layers read.  `names`
    are those that the text gives to the result, by their paths, `part_of` those of all that the layer was made for.
    `gpu` is the number that a tag gives.
    """

    name: str
    kind: str
    settings: str
    shape: tuple[int, ...]
    params: int
    trainable: int
    shared: str | None
    macs: int
    flops: int
    bytes: int
    moved: int
    field: Fields | None
    sources: tuple[str, ...]
    span: Span | None
    names: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the rows; `states` are the elements of running statistics, which nobody counts as parameters.

    `param_bytes` includes them; `activations` are the elements of all results, `activation_bytes` their bytes.
    """

    params: int
    trainable: int
    states: int
    macs: int
    flops: int
    activations: int
    param_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """The rows of a network in order, their totals, and the graph of ops that they are of.

    `memory` is there when it was asked for: `netdsl.train.memory_prediction` computes it.
    """

    network: str
    rows: tuple[Row, ...]
    totals: Totals
    outputs: dict[str, tuple[int, ...]]
    whole: tuple[int, ...]
    graph: Graph = field(repr=False, compare=False)
    memory: Memory | None = None

    @property
    def scopes(self) -> Mapping[str, Scope]:
        """The blocks of the source by path."""
        return self.graph.scopes


def summarize(network: str, graph: Graph, names: Sequence[Naming] = ()) -> Summary:
    """The summary of a graph of ops that was elaborated with batch size 1; `names` are those given to tensors."""
    own, parts = names_of_values(names), names_of_parts(graph, names)
    rows = tuple(
        replace(row, names=own.get(row.name, ()), part_of=parts.get(row.name, ())) for row in _rows(graph)
    )
    layers = [n for n in graph if isinstance(n.op, LibraryOp)]
    weights = (*graph.leaves("param"), *graph.leaves("state"))
    totals = Totals(
        params=sum(r.params for r in rows),
        trainable=sum(r.trainable for r in rows),
        states=sum(n.types[0].size for n in graph.leaves("state")),
        macs=sum(r.macs for r in rows),
        flops=sum(r.flops for r in rows),
        activations=sum(t.size for n in layers for t in n.types),
        param_bytes=nbytes(n.types[0] for n in weights),
        activation_bytes=sum(r.bytes for r in rows if r.kind != "input"),
    )
    shapes = {name: graph.type(v).shape[1:] for name, v in graph.outputs.items()}
    return Summary(network, rows, totals, shapes, whole_input(graph), graph)


def _rows(graph: Graph) -> Iterator[Row]:
    owner: dict[str, str] = {}
    fields = receptive_fields(graph)
    for node in graph:
        if node.op.name == "input":
            t, seen = node.types[0], fields[node.id]
            yield Row(
                node.id, "input", "", t.shape[1:], 0, 0, None, 0, 0, t.nbytes, t.nbytes, seen, (), node.span
            )
        elif isinstance(node.op, LibraryOp):
            yield _layer(graph, node, node.op, owner, fields[node.id])


def _layer(graph: Graph, node: Node, op: LibraryOp, owner: dict[str, str], seen: Fields | None) -> Row:
    weights = [graph[v.node] for v in node.inputs if graph[v.node].op.name == "param"]
    new = [w for w in weights if owner.setdefault(w.id, node.id) == node.id]
    types = [graph.type(v) for v in node.inputs]
    size, cost = nbytes(node.types), cost_of(op, *types)
    return Row(
        name=node.id,
        kind=op.name,
        settings=str(op)[len(op.name) :].strip("{}"),
        shape=graph.type(Value(node.id)).shape[1:],
        params=sum(w.types[0].size for w in new),
        trainable=sum(w.types[0].size for w in new if getattr(w.op, "trainable", True)),
        shared=next((owner[w.id] for w in weights if owner[w.id] != node.id), None),
        macs=cost.macs,
        flops=cost.flops,
        bytes=size,
        moved=size + nbytes(types),
        field=seen,
        sources=tuple(
            v.node for v in node.inputs if graph[v.node].op.name not in ("param", "state", "const")
        ),
        span=node.span,
        gpu=node.gpu,
    )
