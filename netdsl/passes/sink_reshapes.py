"""`sink_reshapes`: a reshape between two nodes that could fuse moves behind the second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.ir import Node, Value
from netdsl.passes.base import Rewrite
from netdsl.passes.edit import Edit
from netdsl.passes.limits import DEFAULT, Limits
from netdsl.passes.log import Log
from netdsl.primitives import Contract, Map, Reshape
from netdsl.scalar import Index, walk
from netdsl.source import counted

Shape = tuple[int, ...]


@dataclass(frozen=True)
class SinkReshapes(Rewrite[tuple[Node, Node]]):
    """`map(reshape(x))` becomes `reshape(map(x))` where `x` comes from a map or a contraction and is read once.

    The map's other operands are brought to the first shape, which costs nothing: elements keep their row-major
    order, so random numbers keep their meaning too.
    """

    name: ClassVar[str] = "sink_reshapes"
    limits: Limits = DEFAULT

    def match(self, edit: Edit, node: Node) -> Iterator[tuple[Node, Node]]:
        """A reshape of a computed value, and the map that reads it."""
        if isinstance(node.op, Reshape) and isinstance(edit.nodes[node.inputs[0].node].op, (Map, Contract)):
            for user in edit.users(node.outputs[0]):
                if isinstance(user.op, Map):
                    yield node, user

    def check(self, edit: Edit, match: tuple[Node, Node]) -> str | None:
        """Nothing else needs the reshaped value, and every operand can follow."""
        node, user = match
        assert isinstance(user.op, Map)
        before, value = node.inputs[0], node.outputs[0]
        for v in (before, value):
            if edit.is_result(v):
                return f"{v.node} is a result of the graph"
            if (uses := len(edit.users(v))) > 1:
                return f"{v.node} has {counted(uses, 'use')}"
        producer = edit.nodes[before.node].op
        if isinstance(producer, Contract) and (reason := self.limits.no_epilogue(producer)) is not None:
            return reason
        if len(user.types) > 1 or user.types[0].shape != node.types[0].shape:
            return f"{user.id} is over another space"
        if any(isinstance(x, Index) for x in walk(user.op.exprs[0])):
            return f"{user.id} reads coordinates"
        into, now = edit.type(before).shape, user.types[0].shape
        for v in user.inputs:
            if _moved(edit.type(v).shape, now, into) is None:
                return f"{v.node} is repeated along axes that the reshape joins or splits"
            source = edit.nodes[v.node]
            if v != value and isinstance(source.op, (Map, Contract)) and len(edit.users(v)) == 1:
                return f"{v.node} would no longer fuse into {user.id}"
        return None

    def rewrite(self, edit: Edit, match: tuple[Node, Node], log: Log) -> None:
        """The map over the first shape, then the reshape, under the map's name."""
        node, user = match
        assert isinstance(user.op, Map)
        before, now = node.inputs[0], user.types[0].shape
        into = edit.type(before).shape
        log.rewrote(self.name, match, f"moved behind {user.id}")
        with edit.within(user):
            moved = [self._operand(edit, v, node, now, into) for v in user.inputs]
            (e,) = user.op.exprs
            inner = edit.map_expr(e, *moved, shape=into)
        edit.replace(user, Reshape(now), (inner,), merged=[node])
        edit.remove(node)

    @override
    def nodes(self, edit: Edit, match: tuple[Node, Node]) -> tuple[Node, ...]:
        return match

    @staticmethod
    def _operand(edit: Edit, value: Value, node: Node, now: Shape, into: Shape) -> Value:
        if value == node.outputs[0]:
            return node.inputs[0]
        shape = _moved(edit.type(value).shape, now, into)
        assert shape is not None
        return edit.reshape(value, shape)


def _moved(shape: Shape, now: Shape, into: Shape) -> Shape | None:
    """The shape with which an operand of a map over `now` takes part in the map over `into`; None if it cannot."""
    if shape == now:
        return into
    own = shape
    while own and own[0] == 1:
        own = own[1:]
    count = len(own)
    return own if not count or now[-count:] == into[-count:] else None
