"""`fuse_maps`: a map is computed where it is read: inside other maps, reductions and epilogues."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from netdsl.compat import override
from netdsl.cost import Facts, facts, nbytes
from netdsl.ir import Node
from netdsl.passes.base import Rewrite
from netdsl.passes.body import Body, body_of, reads_only_in_body, with_body
from netdsl.passes.edit import Edit
from netdsl.passes.limits import DEFAULT, Limits
from netdsl.passes.log import Log
from netdsl.primitives import Contract, Map
from netdsl.source import counted


@dataclass(frozen=True)
class Fusion:
    """A map and everything that reads it."""

    edit: Edit
    map: Node
    users: tuple[Node, ...]

    @cached_property
    def bodies(self) -> tuple[Body, ...]:
        """The bodies of the readers with the map inlined."""
        producer = body_of(self.edit, self.map)
        readers = [body_of(self.edit, user) for user in self.users]
        assert producer is not None
        return tuple(b.inline(self.map.outputs[0], producer).compact() for b in readers if b is not None)


@dataclass(frozen=True)
class FuseMaps(Rewrite[Fusion]):
    """Inlines a map into its readers, so that its result is never stored.

    One reader: always, unless the map is over a smaller space and costs too much to repeat (`repeat_cost`
    additions per element).  Several: only where all of them can take it, it costs at most `copy_cost` additions
    and less memory is read and written in the end.  Coordinates and random numbers mean the same only in the
    same space.  Readers come before what they read, so one run fuses whole chains.
    """

    name: ClassVar[str] = "fuse_maps"
    backwards: ClassVar[bool] = True
    copy_cost: int = 6
    repeat_cost: int = 4
    limits: Limits = DEFAULT

    def match(self, edit: Edit, node: Node) -> Iterator[Fusion]:
        """A map with one result that some scalar expression reads."""
        if isinstance(node.op, Map) and len(node.types) == 1:
            users = tuple(edit.users(node.outputs[0]))
            if any(reads_only_in_body(u, node.outputs[0]) for u in users):
                yield Fusion(edit, node, users)

    def check(self, edit: Edit, match: Fusion) -> str | None:
        """Legal for every reader, and worth it."""
        node, users = match.map, match.users
        assert isinstance(node.op, Map)
        value, known = node.outputs[0], facts(node.op.exprs[0])
        if edit.is_result(value):
            return f"{node.id} is a result of the graph"
        for user in users:
            if not reads_only_in_body(user, value):
                return f"{len(users)} uses, one of them the {user.op.name} {user.id}"
        if len(users) > 1:
            if known.expensive:
                return f"{len(users)} uses, and it computes {known.expensive}"
            if known.work > self.copy_cost:
                return f"{len(users)} uses, and {counted(known.work, 'operation')} are too many to repeat"
            if self._saved(edit, match) <= 0:
                return f"{len(users)} uses, which would read more than is saved"
        reasons = (
            self._refusal(edit, node, known, user, body)
            for user, body in zip(users, match.bodies, strict=True)
        )
        return next((r for r in reasons if r), None)

    def rewrite(self, edit: Edit, match: Fusion, log: Log) -> None:
        """Inline the map everywhere and remove it."""
        names = ", ".join(u.id for u in match.users)
        log.rewrote(self.name, [match.map, *match.users], f"inlined into {names}", self._saved(edit, match))
        for user, body in zip(match.users, match.bodies, strict=True):
            op, inputs = with_body(edit, user, body)
            edit.replace(user, op, inputs, merged=[match.map])
        edit.remove(match.map)

    @override
    def nodes(self, edit: Edit, match: Fusion) -> tuple[Node, ...]:
        return (match.map, *match.users)

    def _refusal(self, edit: Edit, node: Node, known: Facts, user: Node, body: Body) -> str | None:
        if node.id in edit.weight_only and user.id not in edit.weight_only:
            return f"{node.id} depends on weights alone and is computed once"
        if known.placed and isinstance(user.op, Contract):
            return f"{node.id} reads coordinates or random numbers, {user.id} is an epilogue"
        if isinstance(user.op, Contract) and any(edit.type(v).dtype != "f32" for v in node.inputs):
            return f"{node.id} has an operand that is not f32, {user.id} is an epilogue"
        if node.types[0].shape != body.space:
            if known.placed:
                return f"{node.id} reads coordinates or random numbers of another space than {user.id}"
            if node.types[0].size < math.prod(body.space) and known.work > self.repeat_cost:
                what = known.expensive or f"{known.work} operations"
                return f"{user.id} would repeat {what} for each of {list(body.space)}"
        return self.limits.oversize(body, len(user.types))

    @staticmethod
    def _saved(edit: Edit, match: Fusion) -> int:
        """Bytes not written and read any more, less those that readers now read instead."""
        node = match.map
        size = node.types[0].nbytes
        saved = size + size * len(match.users)
        saved -= nbytes(edit.type(v) for v in set(node.inputs)) * (len(match.users) - 1)
        for user in match.users:
            saved += nbytes(edit.type(v) for v in set(node.inputs) & set(user.inputs))
        return saved
