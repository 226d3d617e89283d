"""`merge_maps`: maps over the same space that read the same tensors become one map with several results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import ClassVar

from netdsl.compat import override
from netdsl.ir import Node, Value
from netdsl.passes.base import Rewrite
from netdsl.passes.body import Body, with_body
from netdsl.passes.edit import Edit
from netdsl.passes.limits import DEFAULT, Limits
from netdsl.passes.log import Log
from netdsl.primitives import Map


@dataclass(frozen=True)
class Pair:
    """Two maps, in the order of the graph, and the bytes that are read once less when they are one."""

    first: Node
    second: Node
    saved: int

    @cached_property
    def body(self) -> Body:
        """The results of the first, then those of the second, which reads the first in registers."""
        first, second = self.first, self.second
        assert isinstance(first.op, Map) and isinstance(second.op, Map)
        space = first.types[0].shape
        body = Body(second.op.exprs, second.inputs, space)
        for value, e in zip(first.outputs, first.op.exprs, strict=True):
            if value in second.inputs:
                body = body.inline(value, Body((e,), first.inputs, space))
        return Body(first.op.exprs, first.inputs, space).joined(body).compact()


@dataclass(frozen=True)
class MergeMaps(Rewrite[Pair]):
    """Reads shared operands once; a map whose result another map reads hands it over in registers.

    The merged map takes the place of one of the two: all operands must come before it and all readers after it.
    Only maps at most `distance` nodes apart: computing early what is needed late costs memory.  `candidates`
    bounds the readers looked at for each tensor.
    """

    name: ClassVar[str] = "merge_maps"
    distance: int = 48
    candidates: int = 64
    max_results: int = 4
    limits: Limits = DEFAULT

    def match(self, edit: Edit, node: Node) -> Iterator[Pair]:
        """Earlier maps that share whole tensors with this one, those that share most first."""
        if not isinstance(node.op, Map) or node.id not in edit.position:
            return
        space = node.types[0].shape
        found: dict[str, int] = {}
        for value in dict.fromkeys(v for v in node.inputs if edit.type(v).shape == space):
            for other in islice(self._readers(edit, value), self.candidates):
                if self._near(edit, other, node):
                    found[other.id] = found.get(other.id, 0) + edit.type(value).nbytes
        for name, saved in sorted(found.items(), key=lambda item: (-item[1], -edit.position[item[0]])):
            yield Pair(edit.nodes[name], node, saved)

    def check(self, edit: Edit, match: Pair) -> str | None:
        """Order, size, and not mixing what is computed once with what is computed at every run."""
        first, second = match.first, match.second
        if (first.id in edit.weight_only) != (second.id in edit.weight_only):
            return "one of them depends on weights alone and is computed once"
        if not (_can_move_up(edit, first, second) or _can_move_down(edit, first, second)):
            return "something in between needs the one and gives to the other"
        results = len(first.types) + len(second.types)
        if results > self.max_results:
            return f"{results} results, the limit is {self.max_results}"
        return self.limits.oversize(match.body, results)

    def rewrite(self, edit: Edit, match: Pair, log: Log) -> Node:
        """One map in the place of the first or of the second."""
        first, second = match.first, match.second
        up = _can_move_up(edit, first, second)
        log.rewrote(self.name, self.nodes(edit, match), "merged into one map", match.saved)
        stays, goes = (first, second) if up else (second, first)
        body = match.body
        if not up:
            count = len(first.types)
            body = Body((*body.exprs[count:], *body.exprs[:count]), body.operands, body.space)
        op, inputs = with_body(edit, stays, body)
        new = edit.replace(stays, op, inputs, merged=[goes])
        for port, value in enumerate(goes.outputs):
            edit.redirect(value, Value(new.id, len(stays.types) + port))
        edit.remove(goes)
        return edit.nodes[new.id]

    @override
    def nodes(self, edit: Edit, match: Pair) -> tuple[Node, ...]:
        return (match.first, match.second)

    @staticmethod
    def _readers(edit: Edit, value: Value) -> Iterator[Node]:
        """Who may share a value: those that read it, and the node it comes from where the value is still stored."""
        users = edit.users(value)
        if len(users) > 1 or edit.is_result(value):
            yield edit.nodes[value.node]
        yield from users

    def _near(self, edit: Edit, other: Node, node: Node) -> bool:
        if not isinstance(other.op, Map) or other.types[0].shape != node.types[0].shape:
            return False
        if other.id not in edit.position:
            return False
        return 0 < edit.position[node.id] - edit.position[other.id] <= self.distance


def _can_move_up(edit: Edit, first: Node, second: Node) -> bool:
    """Whether all that `second` reads is there before `first`, which itself does not count."""
    place = edit.position[first.id]
    return all(v.node == first.id or edit.position[v.node] < place for v in second.inputs)


def _can_move_down(edit: Edit, first: Node, second: Node) -> bool:
    """Whether all that reads `first`, apart from `second`, comes after `second`."""
    place = edit.position[second.id]
    users = (u for v in first.outputs for u in edit.users(v))
    return all(u.id == second.id or edit.position[u.id] > place for u in users)
