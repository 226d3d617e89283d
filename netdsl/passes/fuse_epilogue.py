"""`fuse_epilogue`: a map that reads the result of a contraction becomes the contraction's epilogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from netdsl.compat import override
from netdsl.cost import facts
from netdsl.ir import Node, Value
from netdsl.passes.base import Rewrite
from netdsl.passes.body import Body, body_of
from netdsl.passes.edit import Edit
from netdsl.passes.limits import DEFAULT, Limits
from netdsl.passes.log import Log
from netdsl.primitives import Contract, Map
from netdsl.scalar import Arg
from netdsl.source import counted


@dataclass(frozen=True)
class FuseEpilogue(Rewrite[tuple[Node, Node]]):
    """Bias, residual add and ReLU are computed while the sums are still in registers, others right after.

    The log counts a saving only if the device confirms it: none where the epilogue is a separate loop.
    Readers come before what they read, so a sum of two contractions joins the later one.
    """

    name: ClassVar[str] = "fuse_epilogue"
    backwards: ClassVar[bool] = True
    limits: Limits = DEFAULT

    def match(self, edit: Edit, node: Node) -> Iterator[tuple[Node, Node]]:
        """A contraction and a map that reads it."""
        if isinstance(node.op, Contract):
            user = next((u for u in edit.users(node.outputs[0]) if isinstance(u.op, Map)), None)
            if user is not None:
                yield node, user

    def check(self, edit: Edit, match: tuple[Node, Node]) -> str | None:
        """One use, the same space, plain f32 arithmetic."""
        node, user = match
        assert isinstance(node.op, Contract) and isinstance(user.op, Map)
        uses = len(edit.users(node.outputs[0]))
        if edit.is_result(node.outputs[0]):
            return f"{node.id} is a result of the graph"
        if uses > 1:
            return f"{node.id} has {counted(uses, 'use')}"
        if (reason := self.limits.no_epilogue(node.op)) is not None:
            return reason
        if len(user.types) > 1 or user.types[0] != node.types[0]:
            return f"{user.id} has {', '.join(map(str, user.types))}, the contraction {node.types[0]}"
        if any(facts(e).placed for e in user.op.exprs):
            return f"{user.id} reads coordinates or random numbers"
        if any(edit.type(v).dtype != "f32" for v in user.inputs):
            return f"{user.id} has an operand that is not f32"
        return self.limits.oversize(_fused(edit, node, user), 1)

    def rewrite(self, edit: Edit, match: tuple[Node, Node], log: Log) -> Node:
        """Put the contraction, with the map as its epilogue, in the place of the map."""
        node, user = match
        assert isinstance(node.op, Contract)
        body = _fused(edit, node, user)
        op = replace(node.op, epilogue=body.exprs[0])
        inputs = (*node.inputs[:2], *body.operands[1:])
        after = self._separate(edit, op, inputs)
        passes_saved = 1 + self._separate(edit, node.op, node.inputs) - after
        reason = "became its epilogue" + (", in a pass over the result of its own" if after else "")
        log.rewrote(self.name, match, reason, passes_saved * 2 * node.types[0].nbytes)
        new = edit.replace(user, op, inputs, merged=[node], span=node.span)
        edit.remove(node)
        return new

    @override
    def nodes(self, edit: Edit, match: tuple[Node, Node]) -> tuple[Node, ...]:
        return match

    def _separate(self, edit: Edit, op: Contract, inputs: Sequence[Value]) -> int:
        """How many passes over the result an epilogue takes: none where the kernel does it while it stores."""
        operands = [edit.type(v) for v in inputs]
        return 0 if self.limits.fuses(op, operands, *op.infer(*operands)) else 1


def _fused(edit: Edit, node: Node, user: Node) -> Body:
    """The map after the epilogue that is already there; operand 0 is the sum."""
    value = node.outputs[0]
    before = body_of(edit, node) or Body((Arg(0),), (value,), node.types[0].shape)
    after = body_of(edit, user)
    assert after is not None
    the_sum = Body((Arg(0),), (value,), node.types[0].shape, leading=1)
    return the_sum.inline(value, after.inline(value, before)).compact()
