"""The builder makes all nodes and infers the type of each at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from netdsl.ir.graph import Graph, Node, Scope, Value
from netdsl.ir.op import Op
from netdsl.ir.types import TensorType
from netdsl.source import Span


class Builder:
    """Builds a graph.  `training` is the mode that ops expand for."""

    def __init__(self, nodes: Iterable[Node] = (), training: bool = False) -> None:
        self.nodes: dict[str, Node] = {n.id: n for n in nodes}
        self.updates: dict[str, Value] = {}
        self.scopes: dict[str, Scope] = {}
        self.training = training
        self._prefix = ""
        self._span: Span | None = None
        self._origin: tuple[str, ...] = ()
        self._gpu: int | None = None
        self._next: dict[str, int] = {}

    def fresh(self, hint: str) -> str:
        """An unused node id or path: the hint, with the first free number after it if it is taken."""
        if hint not in self.nodes and hint not in self.scopes:
            return hint
        for number in itertools.count(self._next.get(hint, 1)):
            name = f"{hint}_{number}"
            if name not in self.nodes and name not in self.scopes:
                self._next[hint] = number + 1
                return name
        raise AssertionError("itertools.count ended")

    def type(self, value: Value) -> TensorType:
        """The type of a value."""
        return self.nodes[value.node].types[value.port]

    def add(
        self,
        op: Op,
        *inputs: Value,
        name: str | None = None,
        span: Span | None = None,
        origin: tuple[str, ...] | None = None,
    ) -> tuple[Value, ...]:
        """Append a node and return its results; raises ShapeError when the operands do not fit."""
        types = op.infer(*(self.type(v) for v in inputs))
        hint = name if name is not None else f"{self._prefix}{op.name}"
        where = self._origin if origin is None else origin
        node = Node(self.fresh(hint), op, inputs, types, span or self._span, where, self._gpu)
        self.nodes[node.id] = node
        return node.outputs

    def add1(self, op: Op, *inputs: Value, name: str | None = None, span: Span | None = None) -> Value:
        """Like `add`, for ops with one result."""
        (value,) = self.add(op, *inputs, name=name, span=span)
        return value

    def like(self, node: Node, op: Op, *inputs: Value, name: str | None = None) -> tuple[Value, ...]:
        """Append an op that stands for a node of another graph: it has its name, its place in the source, its GPU."""
        with self.on(node.gpu):
            return self.add(op, *inputs, name=name or node.id, span=node.span, origin=node.origin)

    @contextmanager
    def within(self, node: Node, path: str | None = None) -> Iterator[None]:
        """Within the context, new nodes get names below `node`, its place in the source and its GPU."""
        saved = self._prefix, self._span, self._origin
        self._prefix = f"{node.id if path is None else path}."
        self._span, self._origin = node.span, node.origin or (node.id,)
        try:
            with self.on(node.gpu):
                yield
        finally:
            self._prefix, self._span, self._origin = saved

    @contextmanager
    def on(self, gpu: int | None) -> Iterator[None]:
        """Within the context, new nodes are put on a GPU by its number; None is the device that the graph runs on."""
        saved, self._gpu = self._gpu, gpu
        try:
            yield
        finally:
            self._gpu = saved

    def update(self, leaf: Value, new: Value) -> None:
        """Register the value that a `param` or `state` leaf has after the step."""
        self.updates[leaf.node] = new

    def latest(self, leaf: Value) -> Value:
        """The value of a leaf after the updates so far, which the next use of a shared layer reads."""
        return self.updates.get(leaf.node, leaf)

    def finish(
        self,
        outputs: Mapping[str, Value],
        aux: Iterable[str] = (),
        scopes: Mapping[str, Scope] | None = None,
    ) -> Graph:
        """The graph of everything added, dead nodes included (a pass removes them)."""
        return Graph(self.nodes.values(), outputs, self.updates, aux, scopes or self.scopes)
