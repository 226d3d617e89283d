"""Buffers and calls: what runs, in which order, on which memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.passes.weights import weight_only
from netdsl.primitives import Map
from netdsl.schedule.order import execution_order, separated
from netdsl.schedule.view import View

Kind = Literal["input", "param", "state", "const", "fixed", "varying"]
LEAVES = ("input", "param", "state", "const")


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory for one value (and its reshapes).

    It holds a leaf, a value that depends on weights alone and is computed once per set of weights ("fixed"), or a
    value that every run computes ("varying").
    """

    kind: Kind
    name: str
    type: TensorType


@dataclass(frozen=True, slots=True)
class Call:
    """A node that runs, with the views that it reads and writes."""

    node: Node
    operands: tuple[View, ...]
    results: tuple[View, ...]


@dataclass(frozen=True)
class Schedule:
    """`prepare` runs once per set of weights, `run` at every run; `leaves` are numbers of buffers.

    `copies` are pairs (leaf, new value) of updates that could not be computed in place.
    """

    graph: Graph
    buffers: tuple[Buffer, ...]
    prepare: tuple[Call, ...]
    run: tuple[Call, ...]
    outputs: dict[str, View]
    leaves: dict[str, int]
    copies: tuple[tuple[View, View], ...]


def make_schedule(graph: Graph) -> Schedule:
    """Order the nodes of a primitive graph and give every value a buffer."""
    return _Scheduler(separated(graph)).schedule()


class _Scheduler:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = execution_order(graph)
        self.fixed = weight_only(graph)
        self.buffers: list[Buffer] = []
        self.where: dict[Value, View] = {}
        self.last_read = self._last_reads()
        self.updated: dict[Value, list[str]] = {}
        for leaf, new in graph.updates.items():
            self.updated.setdefault(new, []).append(leaf)

    def schedule(self) -> Schedule:
        prepare: list[Call] = []
        run: list[Call] = []
        for position, node in enumerate(self.order):
            if node.op.name in LEAVES and not node.inputs:
                self._leaf(node)
            elif node.op.name == "reshape":
                self.where[Value(node.id)] = self._reshaped(node)
            else:
                call = self._call(node, position)
                (prepare if node.id in self.fixed else run).append(call)
        leaves = {n.id: self.where[Value(n.id)].buffer for n in self.order if n.op.name in LEAVES}
        outputs = {name: self.where[v] for name, v in self.graph.outputs.items()}
        copies = [(self.where[Value(leaf)], self.where[v]) for leaf, v in self.graph.updates.items()]
        return Schedule(
            self.graph,
            tuple(self.buffers),
            tuple(prepare),
            tuple(run),
            outputs,
            leaves,
            tuple((old, new) for old, new in copies if old.buffer != new.buffer),
        )

    def _new(self, kind: Kind, name: str, t: TensorType) -> View:
        self.buffers.append(Buffer(kind, name, t))
        return View.dense(len(self.buffers) - 1, t)

    def _reshaped(self, node: Node) -> View:
        view = self.where[node.inputs[0]].reshaped(node.types[0].shape)
        assert view is not None, "nothing is put where a reshape would need a copy"
        return view

    def _leaf(self, node: Node) -> None:
        kinds: dict[str, Kind] = {"input": "input", "param": "param", "state": "state", "const": "const"}
        self.where[Value(node.id)] = self._new(kinds[node.op.name], node.id, node.types[0])

    def _call(self, node: Node, position: int) -> Call:
        operands = tuple(self.where[v] for v in node.inputs)
        results: list[View] = []
        for value, t in zip(node.outputs, node.types, strict=True):
            place = self._in_place(node, value, t, operands, results, position)
            kind: Kind = "fixed" if node.id in self.fixed else "varying"
            results.append(self._new(kind, node.id, t) if place is None else place)
            self.where[value] = results[-1]
        return Call(node, operands, tuple(results))

    def _in_place(
        self,
        node: Node,
        value: Value,
        t: TensorType,
        operands: Sequence[View],
        results: Sequence[View],
        position: int,
    ) -> View | None:
        """The memory that this result of a map may overwrite: the leaf it updates, or an operand not read later."""
        if not isinstance(node.op, Map) or node.id in self.fixed:
            return None
        updated = self.updated.get(value, ())
        for leaf in updated:
            if self._dies(Value(leaf), t, position):
                return self.where[Value(leaf)]
        if updated:
            return None
        for v, b in zip(node.inputs, operands, strict=True):
            if (
                self.buffers[b.buffer].kind == "varying"
                and b.buffer not in {r.buffer for r in results}
                and self._dies(self._root(v), t, position)
            ):
                return b
        return None

    def _dies(self, root: Value, t: TensorType, position: int) -> bool:
        """Whether no node after `position` reads a value, and the map there reads it at its own elements only."""
        here = [v for v in self.order[position].inputs if self._root(v) == root]
        return self.last_read.get(root, -1) <= position and all(self.graph.type(v) == t for v in here)

    def _root(self, value: Value) -> Value:
        node = self.graph[value.node]
        while node.op.name == "reshape":
            value = node.inputs[0]
            node = self.graph[value.node]
        return value

    def _last_reads(self) -> dict[Value, int]:
        last: dict[Value, int] = {}
        for position, node in enumerate(self.order):
            if node.op.name != "reshape":
                for v in node.inputs:
                    last[self._root(v)] = position
        for v in (*self.graph.outputs.values(), *self.graph.updates.values()):
            last[self._root(v)] = len(self.order)
        return last
