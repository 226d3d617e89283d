"""Buffers and calls: what runs, in which order, on which memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.passes.weights import weight_only
from netdsl.primitives import Concat, Map, Reshape, Slice
from netdsl.schedule.order import LEAVES, execution_order, separated
from netdsl.schedule.parts import boxes, find_parts
from netdsl.schedule.view import Accepts, View, takes_dense

Kind = Literal["input", "param", "state", "const", "fixed", "varying"]


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory for one value (and its reshapes).

    It holds a leaf, a value that depends on weights alone and is computed once per set of weights ("fixed"), or a
    value that every run computes ("varying").  It is in the memory of the device, or of another `gpu`.
    """

    kind: Kind
    name: str
    type: TensorType
    gpu: int | None = None


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


def make_schedule(graph: Graph, accepts: Accepts = takes_dense) -> Schedule:
    """Order the nodes of a primitive graph and give every value a place in a buffer.

    Values are parts of others, so that nothing is copied, where the kernels of a target accept that.
    """
    return _Scheduler(separated(graph), accepts).schedule()


class _Scheduler:
    def __init__(self, graph: Graph, accepts: Accepts) -> None:
        self.graph = graph
        self.order = execution_order(graph)
        self.fixed = weight_only(graph)
        self.buffers: list[Buffer] = []
        self.where: dict[Value, View] = {}
        self.parts = find_parts(graph, self.order, self.fixed, accepts)
        self.last_read = self._last_reads()
        self.inside: dict[int, set[Value]] = {}
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
            elif not self._is_there(node):
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
        self.buffers.append(Buffer(kind, name, t, self.graph[name].gpu))
        return View.dense(len(self.buffers) - 1, t)

    def _reshaped(self, node: Node) -> View:
        view = self.where[node.inputs[0]].reshaped(node.types[0].shape)
        assert view is not None, "nothing is put where a reshape would need a copy"
        return view

    def _leaf(self, node: Node) -> None:
        kinds: dict[str, Kind] = {"input": "input", "param": "param", "state": "state", "const": "const"}
        self._put(Value(node.id), self._new(kinds[node.op.name], node.id, node.types[0]))

    def _put(self, value: Value, view: View) -> View:
        self.where[value] = view
        self.inside.setdefault(view.buffer, set()).add(self._root(value))
        return view

    def _place(self, value: Value) -> View:
        """Where a value lies: in another one, which has memory with the first of its parts, or on its own."""
        inner = [value]  # each in the next
        while inner[-1] not in self.where and inner[-1] in self.parts:
            inner.append(self.parts[inner[-1]].whole)
        for v in reversed(inner):
            if v not in self.where:
                self._put(v, self._chosen(v))
        return self.where[value]

    def _chosen(self, value: Value) -> View:
        t, part = self.graph.type(value), self.parts.get(value)
        if part is None:
            return self._new("fixed" if value.node in self.fixed else "varying", value.node, t)
        view = part.view(self.where[part.whole], t.shape)
        assert view is not None, "what needs a copy is no part"
        return view

    def _is_there(self, node: Node) -> bool:
        """Whether there is nothing to do: a slice that is read where it lies, operands that are in their places."""
        value = Value(node.id)
        if self._is_read_there(node):
            self._place(value)
            return True
        if not isinstance(node.op, Concat):
            return False
        whole, shapes = self._place(value), [self.graph.type(v).shape for v in node.inputs]
        places = [part.view(whole, shapes[k]) for k, part in boxes(node, self.graph)]
        return all(
            p is not None and self.where[v].matches(p) for v, p in zip(node.inputs, places, strict=True)
        )

    def _call(self, node: Node, position: int) -> Call:
        operands = tuple(self.where[v] for v in node.inputs)
        results: list[View] = []
        for value, t in zip(node.outputs, node.types, strict=True):
            place = self._in_place(node, value, t, operands, results, position)
            results.append(self._place(value) if place is None else self._put(value, place))
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
        if not isinstance(node.op, Map) or node.id in self.fixed or value in self.parts:
            return None
        updated = self.updated.get(value, ())
        for leaf in updated:
            whole = self.where[Value(leaf)]
            if whole.type == t and self._dies(whole, position):
                return whole
        if updated:
            return None
        for b in operands:
            buffer = self.buffers[b.buffer]
            if (
                buffer.kind == "varying"
                and b.matches(View.dense(b.buffer, t))
                and t.nbytes == buffer.type.nbytes
                and b.buffer not in {r.buffer for r in results}
                and self._dies(b, position)
            ):
                return b
        return None

    def _dies(self, whole: View, position: int) -> bool:
        """Whether no node after `position` reads a buffer, and the map there reads it at its own elements only."""
        here = [self.where[v] for v in self.order[position].inputs]
        return all(v.matches(whole) for v in here if v.buffer == whole.buffer) and all(
            self.last_read.get(v, -1) <= position for v in self.inside[whole.buffer]
        )

    def _is_read_there(self, node: Node) -> bool:
        """Whether a node is a slice that is read where it lies."""
        part = self.parts.get(Value(node.id)) if isinstance(node.op, Slice) else None
        return part is not None and part.whole == node.inputs[0]

    def _root(self, value: Value) -> Value:
        """What a value is a reshape, or a slice that is read where it lies, of."""
        while True:
            node = self.graph[value.node]
            if not isinstance(node.op, Reshape) and not self._is_read_there(node):
                return value
            value = node.inputs[0]

    def _last_reads(self) -> dict[Value, int]:
        # Value by value, seen through reshapes: NetworkX knows nodes alone.
        last: dict[Value, int] = {}
        for position, node in enumerate(self.order):
            if not isinstance(node.op, Reshape):
                for v in node.inputs:
                    last[self._root(v)] = position
        for v in (*self.graph.outputs.values(), *self.graph.updates.values()):
            last[self._root(v)] = len(self.order)
        return last
