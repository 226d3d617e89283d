"""Which values are parts of others in memory, so that nothing is copied.

The operands of a concatenation, and what zeros are put around, are written straight into their place; a slice is read
where it lies. Both only where the kernels of all who write and read take such views: `Accepts` is what a target says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl.ir import Graph, Node, Value
from netdsl.primitives import Concat, Pad, Reshape, Slice
from netdsl.schedule.order import base_of
from netdsl.schedule.view import Accepts, View


@dataclass(frozen=True, slots=True)
class Part:
    """A value is the box `start + i*step` of `shape` in the value `whole`, under a shape of its own."""

    whole: Value
    start: tuple[int, ...]
    step: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether there are no elements."""
        return not all(self.shape)

    def view(self, whole: View, shape: Sequence[int]) -> View | None:
        """Where it lies; None where that would need a copy."""
        return whole.sliced(self.start, self.step, self.shape).reshaped(shape)


def boxes(node: Node, graph: Graph) -> Iterator[tuple[int, Part]]:
    """The operands of a node that are boxes of its result, unchanged: those of a concatenation, what is padded."""
    op, whole, ones = node.op, Value(node.id), (1,) * node.types[0].rank
    shapes = [graph.type(v).shape for v in node.inputs]
    if isinstance(op, Concat):
        start = [0] * len(ones)
        for k, shape in enumerate(shapes):
            yield k, Part(whole, tuple(start), ones, shape)
            start[op.axis] += shape[op.axis]
    elif isinstance(op, Pad | Slice) and op.step == ones and op.shape != shapes[0]:
        first = op.start if isinstance(op, Pad) else tuple(-a for a in op.start)
        ends = (a + n for a, n in zip(first, shapes[0], strict=True))
        if min(first, default=0) >= 0 and all(e <= n for e, n in zip(ends, op.shape, strict=True)):
            yield 0, Part(whole, first, ones, shapes[0])


def find_parts(
    graph: Graph, order: Sequence[Node], fixed: frozenset[str], accepts: Accepts
) -> dict[Value, Part]:
    """The values that are parts of others: later concatenations choose first, so that those of others are in them."""
    finder = _Finder(graph, fixed, accepts)
    for node in reversed(order):
        for k, part in boxes(node, graph):
            finder.write(node, k, part)
    for node in order:
        if isinstance(node.op, Slice):
            finder.read(node, node.op)
    return finder.parts


class _Finder:
    def __init__(self, graph: Graph, fixed: frozenset[str], accepts: Accepts) -> None:
        self.graph, self.fixed, self.accepts = graph, fixed, accepts
        self.parts: dict[Value, Part] = {}
        self.views: dict[Value, View] = {}
        self.updates = {base_of(graph, v) for v in graph.updates.values()}
        self.results = self.updates | {base_of(graph, v) for v in graph.outputs.values()}

    def write(self, node: Node, k: int, part: Part) -> None:
        """Let the operand of a concatenation be written into its place, if it can."""
        value = base_of(self.graph, node.inputs[k])
        maker = self.graph[value.node]
        if value in self.parts or value in self.updates or not maker.inputs or part.empty:
            return
        view = part.view(self._view(part.whole), self.graph.type(value).shape)
        if (
            view is not None
            and (maker.id in self.fixed) == (node.id in self.fixed)
            and self.accepts(maker, "result", value.port, view)
            and self._readable(value, view, node)
        ):
            self.parts[value] = part

    def read(self, node: Node, op: Slice) -> None:
        """Let a slice be read where it lies, if it can: an output, or a new weight, has memory of its own."""
        value, source = Value(node.id), node.inputs[0]
        inside = all(
            d > 0 and a >= 0 and a + (n - 1) * d < m
            for a, d, n, m in zip(op.start, op.step, op.shape, self.graph.type(source).shape, strict=True)
        )
        part = Part(source, op.start, op.step, op.shape)
        if not inside or part.empty or value in self.parts or value in self.results:
            return
        if base_of(self.graph, source).node not in self.graph.updates:
            view = part.view(self._view(source), op.shape)
            if view is not None and self._readable(value, view):
                self.parts[value] = part

    def _readable(self, value: Value, view: View, but: Node | None = None) -> bool:
        """Whether all who read a value, and its reshapes, take it as a view; `but` reads nothing."""
        for user, k in self.graph.users(value):
            if isinstance(user.op, Reshape):
                other = view.reshaped(user.op.shape)
                if other is None or not self._readable(Value(user.id), other, but):
                    return False
            elif user is not but and not self.accepts(user, "operand", k, view):
                return False
        return True

    def _view(self, value: Value) -> View:
        """Where a value lies, in a buffer that does not matter.

        Whoever asks comes after what the value lies in was decided, so that an answer stays right.
        """
        if value not in self.views:
            self.views[value] = self._looked_up(value)
        return self.views[value]

    def _looked_up(self, value: Value) -> View:
        node, shape = self.graph[value.node], self.graph.type(value).shape
        if isinstance(node.op, Reshape):
            found = self._view(node.inputs[0]).reshaped(shape)
        elif value in self.parts:
            found = self.parts[value].view(self._view(self.parts[value].whole), shape)
        else:
            return View.dense(0, self.graph.type(value))
        assert found is not None, "what needs a copy is no part"
        return found
