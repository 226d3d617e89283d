"""A graph that is being rewritten: nodes are replaced in place, and the readers of every value are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from netdsl.ir import Graph, Node, Op, Value
from netdsl.passes.weights import weight_only
from netdsl.primitives import PrimitiveBuilder
from netdsl.source import Span


class Edit(PrimitiveBuilder):
    """Starts as `graph`; `done` gives the rewritten graph, or `graph` itself when nothing was changed.

    Every new or replaced node is typed at once, as in any builder.  New nodes may be added at any time: `done`
    puts them before their readers.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.source = graph
        self.outputs = dict(graph.outputs)
        self.updates.update(graph.updates)
        self.changed = False
        self._users: dict[Value, dict[str, int]] = {}
        self._results = Counter((*self.outputs.values(), *self.updates.values()))
        for node in graph:
            self._register(node)

    @cached_property
    def weight_only(self) -> frozenset[str]:
        """The nodes of the source graph that depend on nothing but constants and weights."""
        return weight_only(self.source)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where the nodes of the source graph stand in its order; a replaced node keeps its place."""
        return {node.id: k for k, node in enumerate(self.source)}

    def users(self, value: Value) -> list[Node]:
        """The nodes that read a value, each once."""
        return [self.nodes[name] for name in self._users.get(value, ())]

    def is_result(self, value: Value) -> bool:
        """Whether a value leaves the graph, as an output or an update."""
        return self._results[value] > 0

    def is_dead(self, node: Node) -> bool:
        """Whether nothing reads any result of a node."""
        return not any(self._users.get(v) or self._results[v] for v in node.outputs)

    def add(
        self,
        op: Op,
        *inputs: Value,
        name: str | None = None,
        span: Span | None = None,
        origin: tuple[str, ...] | None = None,
    ) -> tuple[Value, ...]:
        """Append a node, as any builder does."""
        outputs = super().add(op, *inputs, name=name, span=span, origin=origin)
        self._register(self.nodes[outputs[0].node])
        self.changed = True
        return outputs

    def replace(
        self,
        node: Node,
        op: Op,
        inputs: Iterable[Value],
        merged: Iterable[Node] = (),
        span: Span | None = None,
    ) -> Node:
        """Put another op with its operands in the place of `node`; it may have further results.

        The origins of the `merged` nodes are added.  `span` is the place in the source that the node now stands
        for; without it the node keeps its own, or takes that of a merged node where it has none.
        """
        operands = tuple(inputs)
        types = op.infer(*(self.type(v) for v in operands))
        if types[: len(node.types)] != node.types:
            raise AssertionError(f"{node.id}: {types} in the place of {node.types}")
        absorbed = tuple(merged)
        place = span or next((n.span for n in (node, *absorbed) if n.span is not None), None)
        origin = origins(node, *absorbed)
        new = replace(node, op=op, inputs=operands, types=types, span=place, origin=origin)
        self._unregister(node)
        self.nodes[node.id] = new
        self._register(new)
        self.changed = True
        return new

    def redirect(self, old: Value, new: Value) -> None:
        """Let every reader of `old`, outputs and updates included, read `new`, which has the same type."""
        if self.type(old) != self.type(new):
            raise AssertionError(f"{old} is {self.type(old)}, {new} is {self.type(new)}")
        for user in self.users(old):
            inputs = tuple(new if v == old else v for v in user.inputs)
            self._unregister(user)
            self.nodes[user.id] = replace(user, inputs=inputs)
            self._register(self.nodes[user.id])
        if self._results[old]:
            self.outputs = {k: new if v == old else v for k, v in self.outputs.items()}
            self.updates = {k: new if v == old else v for k, v in self.updates.items()}
            self._results[new] += self._results.pop(old)
        self.changed = True

    def remove(self, node: Node) -> None:
        """Take out a node that nothing reads."""
        if not self.is_dead(node):
            raise AssertionError(f"{node.id} is still read")
        self._unregister(node)
        del self.nodes[node.id]
        self.changed = True

    def done(self) -> Graph:
        """The graph as it is now, in topological order; raises AssertionError for a cycle."""
        if not self.changed:
            return self.source
        graph = Graph(self.nodes.values(), self.outputs, self.updates, self.source.aux, self.source.scopes)
        try:
            return graph.sorted()
        except ValueError as error:
            raise AssertionError(str(error)) from None

    def _register(self, node: Node) -> None:
        for v in node.inputs:
            readers = self._users.setdefault(v, {})
            readers[node.id] = readers.get(node.id, 0) + 1

    def _unregister(self, node: Node) -> None:
        for v in node.inputs:
            readers = self._users[v]
            readers[node.id] -= 1
            if not readers[node.id]:
                del readers[node.id]


def origins(*nodes: Node) -> tuple[str, ...]:
    """The source-level nodes that several nodes came from, each once."""
    return tuple(dict.fromkeys(name for n in nodes for name in n.origin or (n.id,)))
