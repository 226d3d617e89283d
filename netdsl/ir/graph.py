"""Values, nodes and the immutable graph, with its derived NetworkX view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from netdsl.ir.op import Op
from netdsl.ir.text import format_graph
from netdsl.ir.types import TensorType
from netdsl.source import Span

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True, slots=True, order=True)
class Value:
    """Result number `port` of the node called `node`."""

    node: str
    port: int = 0

    def __str__(self) -> str:
        return f"%{self.node}" + (f":{self.port}" if self.port else "")


class TaggedGpu(int):
    """The number of a GPU as a tag of the source gives it, with the place of the tag."""

    span: Span

    def __new__(cls, number: int, span: Span) -> TaggedGpu:
        """The number."""
        made = super().__new__(cls, number)
        made.span = span
        return made

    def __reduce__(self) -> tuple[type[TaggedGpu], tuple[int, Span]]:
        return TaggedGpu, (int(self), self.span)


@dataclass(frozen=True, slots=True)
class Node:
    """An op applied to values.

    `origin` names the nodes of the source that a rewritten node comes from.  `gpu` is the number of the GPU that the
    node is put on; None is the device that the graph runs on.
    """

    id: str
    op: Op
    inputs: tuple[Value, ...]
    types: tuple[TensorType, ...]
    span: Span | None = field(default=None, compare=False)
    origin: tuple[str, ...] = field(default=(), compare=False)
    gpu: int | None = None

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values that the node defines."""
        if len(self.types) == 1:  # as nearly always
            return (Value(self.id),)
        return tuple(Value(self.id, port) for port in range(len(self.types)))


@dataclass(frozen=True, slots=True)
class Scope:
    """An instance of a block: the block's name, the text that uses it, the place of the use and its inputs.

    `inputs` are values of the graph that was elaborated, by their names in the block.
    """

    name: str
    text: str
    span: Span | None = None
    inputs: Mapping[str, Value] = field(default_factory=dict, compare=False)


#: the node of a graph's NetworkX view into which all results flow
RESULTS = ""


class Graph:
    """Nodes in topological order, named outputs, and the new values of params and states.

    `updates` maps the id of a `param` or `state` leaf to its value after the step.  `aux` names the outputs
    that exist in training only; `scopes` maps the path of a block instance to where it came from.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        outputs: Mapping[str, Value],
        updates: Mapping[str, Value] | None = None,
        aux: Iterable[str] = (),
        scopes: Mapping[str, Scope] | None = None,
    ) -> None:
        self._nodes = {n.id: n for n in nodes}
        self.outputs: Mapping[str, Value] = MappingProxyType(dict(outputs))
        self.updates: Mapping[str, Value] = MappingProxyType(dict(updates or {}))
        self.aux = frozenset(aux)
        self.scopes: Mapping[str, Scope] = MappingProxyType(dict(scopes or {}))

    def __reduce__(self) -> tuple[type[Graph], tuple[Any, ...]]:
        """Pickled as what it is made of, without what was looked up in it."""
        return Graph, (list(self), dict(self.outputs), dict(self.updates), self.aux, dict(self.scopes))

    @cached_property
    def nx(self) -> networkx.DiGraph:
        """A frozen `networkx.DiGraph` of node ids, for the algorithms of NetworkX.

        Edges go from operands to readers; outputs and updates flow into `RESULTS`.
        """
        # NetworkX takes 0.1 s to import, which a shape report need not pay.
        import networkx

        flow = networkx.DiGraph()
        flow.add_nodes_from(self._nodes)
        flow.add_edges_from((v.node, n.id) for n in self for v in n.inputs)
        flow.add_node(RESULTS)
        flow.add_edges_from((v.node, RESULTS) for v in self._results)
        return networkx.freeze(flow)

    def sorted(self) -> Graph:
        """The same graph with every node after its operands: new ones directly before their first reader.

        Raises ValueError where a node depends on itself.
        """
        # As after most passes; NetworkX would take 15 ms of ResNet-50 to find that out.
        if self._late() is None:
            return self
        import networkx

        reads = networkx.DiGraph()
        reads.add_nodes_from(self._nodes)
        reads.add_edges_from((n.id, v.node) for n in self for v in reversed(n.inputs))
        order = (self._nodes[name] for name in networkx.dfs_postorder_nodes(reads))
        graph = Graph(order, self.outputs, self.updates, self.aux, self.scopes)
        if (late := graph._late()) is not None:
            raise ValueError(f"{late} depends on itself")
        return graph

    def _late(self) -> str | None:
        """The first node that stands after one of its readers, or is its own; None where all are in order."""
        seen = set[str]()
        for node in self:
            for value in node.inputs:
                if value.node not in seen:
                    return value.node
            seen.add(node.id)
        return None

    @cached_property
    def _users(self) -> Mapping[Value, tuple[tuple[Node, int], ...]]:
        users: dict[Value, list[tuple[Node, int]]] = {}
        for n in self:
            for k, v in enumerate(n.inputs):
                users.setdefault(v, []).append((n, k))
        return {v: tuple(us) for v, us in users.items()}

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __getitem__(self, node: str) -> Node:
        return self._nodes[node]

    def __contains__(self, node: str) -> bool:
        return node in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def type(self, value: Value) -> TensorType:
        """The type of a value."""
        return self._nodes[value.node].types[value.port]

    def users(self, value: Value) -> tuple[tuple[Node, int], ...]:
        """The nodes that read a value, each with the index of the operand."""
        return self._users.get(value, ())

    def is_result(self, value: Value) -> bool:
        """Whether a value leaves the graph, as an output or an update."""
        return value in self._results

    @cached_property
    def _results(self) -> frozenset[Value]:
        return frozenset(self.outputs.values()) | frozenset(self.updates.values())

    def leaves(self, kind: str) -> tuple[Node, ...]:
        """The leaves of a kind: `input`, `param`, `state` or `const`, in order."""
        return tuple(n for n in self if n.op.name == kind)

    def with_outputs(self, outputs: Mapping[str, Value], updates: Mapping[str, Value] | None = None) -> Graph:
        """The same nodes with other outputs."""
        new = self.updates if updates is None else updates
        return Graph(self, outputs, new, self.aux & outputs.keys(), self.scopes)

    def __str__(self) -> str:
        return format_graph(self)
