"""`simplify`: algebra on expressions, and reshapes and copies that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from netdsl.cost import facts, nbytes
from netdsl.ir import Graph, Node, Value
from netdsl.passes.base import Pass
from netdsl.passes.body import body_of, with_body
from netdsl.passes.edit import Edit
from netdsl.passes.expressions import simplified
from netdsl.passes.log import Log
from netdsl.primitives import Concat, Map, Pad, Reshape, Slice, Transfer
from netdsl.scalar import Arg


@dataclass(frozen=True)
class Simplify(Pass):
    """Removes identities: `x + 0`, maps and gathers that copy, a reshape of a reshape.

    Each rule looks at one node and returns what it did, or None.
    """

    name: ClassVar[str] = "simplify"

    def run(self, graph: Graph, log: Log) -> Graph:
        """Apply the rules in order, at each node until none applies."""
        edit = Edit(graph)
        for name in [n.id for n in graph]:
            while (node := edit.nodes.get(name)) is not None:
                did = next((done for rule in RULES if (done := rule(edit, node)) is not None), None)
                if did is None:
                    break
                log.rewrote(self.name, [node], did, 0 if name in edit.nodes else 2 * nbytes(node.types))
        return edit.done()


def simplify_expressions(edit: Edit, node: Node) -> str | None:
    """Algebra; operands that are not used any more, or twice, go."""
    body = body_of(edit, node)
    if body is None:
        return None
    types = tuple(edit.type(v).dtype for v in body.operands)
    exprs = tuple(simplified(e, types) for e in body.exprs)
    small = replace(body, exprs=exprs).compact()
    if small == body:
        return None
    edit.replace(node, *with_body(edit, node, small))
    return "simplified"


def remove_copy(edit: Edit, node: Node) -> str | None:
    """A node whose result is its operand."""
    same = node.inputs and edit.type(node.inputs[0]) == node.types[0]
    if not same or not _copies(edit, node):
        return None
    edit.redirect(Value(node.id), node.inputs[0])
    edit.remove(node)
    return f"a copy of {node.inputs[0]}"


def _copies(edit: Edit, node: Node) -> bool:
    match node.op:
        case Transfer():
            return edit.nodes[node.inputs[0].node].gpu == node.gpu
        case Map(exprs=exprs):
            return exprs == (Arg(0),)
        case Reshape():
            return True
        case Concat():
            return len(node.inputs) == 1
        case Slice(start=start, step=step) | Pad(start=start, step=step):
            return not any(start) and all(s == 1 for s in step)
    return False


def join_reshapes(edit: Edit, node: Node) -> str | None:
    """A reshape of a reshape, or of a value without operands."""
    if not isinstance(node.op, Reshape):
        return None
    before = edit.nodes[node.inputs[0].node]
    if isinstance(before.op, Reshape):
        edit.replace(node, node.op, before.inputs, merged=[before])
        return f"reshapes {before.inputs[0]} at once"
    op = before.op
    if isinstance(op, Map) and not before.inputs and len(op.exprs) == 1 and not facts(op.exprs[0]).placed:
        edit.replace(node, replace(op, shape=node.op.shape), (), merged=[before])
        return f"{before.id} under its final shape"
    return None


def make_again(edit: Edit, node: Node) -> str | None:
    """A copy on another GPU of what has no operands."""
    if not isinstance(node.op, Transfer):
        return None
    before = edit.nodes[node.inputs[0].node]
    if not isinstance(before.op, Map) or before.inputs or len(before.types) > 1:
        return None
    edit.replace(node, before.op, ())
    return f"{before.id}, made where it is read"


RULES: tuple[Callable[[Edit, Node], str | None], ...] = (
    simplify_expressions,
    remove_copy,
    join_reshapes,
    make_again,
)
