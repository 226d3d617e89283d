"""`constant_folding`: evaluate nodes over constants, and write constant scalars into expressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array
from netdsl.cost import nbytes
from netdsl.ir import Node, Value
from netdsl.passes.base import Rewrite
from netdsl.passes.body import body_of, reads_only_in_body, with_body
from netdsl.passes.edit import Edit
from netdsl.passes.log import Log
from netdsl.primitives import (
    Const,
    Contract,
    Map,
    NonMaxSuppression,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
)
from netdsl.scalar import Lit

Match = tuple[Node, Value | None]


@dataclass(frozen=True)
class ConstantFolding(Rewrite[Match]):
    """Nodes over constants become constants; operands that are one known number become literals.

    `limit` bounds the elements that a node may read and write to be computed while compiling.
    """

    name: ClassVar[str] = "constant_folding"
    limit: int = 65_536

    def match(self, edit: Edit, node: Node) -> Iterator[Match]:
        """The node as a whole (no value), or an operand that is one known number."""
        if node.inputs and all(isinstance(edit.nodes[v.node].op, Const) for v in node.inputs):
            yield node, None
        for value in dict.fromkeys(node.inputs):
            if reads_only_in_body(node, value) and _literal(edit.nodes[value.node]) is not None:
                yield node, value

    def check(self, edit: Edit, match: Match) -> str | None:
        """Refuse large results, and nodes that compute more than they read and write."""
        node, value = match
        if value is not None:
            return None
        if isinstance(
            node.op, (Contract, ReduceWindow, ReduceWindowGrad, RoiReduce, RoiReduceGrad, NonMaxSuppression)
        ):
            return f"a {node.op.name} is not computed while compiling"
        elements = sum(t.size for t in (*node.types, *(edit.type(v) for v in node.inputs)))
        return f"too large: {elements} elements, the limit is {self.limit}" if elements > self.limit else None

    def rewrite(self, edit: Edit, match: Match, log: Log) -> Node | None:
        """Evaluate the node, or put the literal in the place of the operand."""
        node, value = match
        if value is None:
            log.rewrote(self.name, [node], "computed while compiling", nbytes(node.types))
            _evaluate(edit, node)
            return None
        body, known = body_of(edit, node), _literal(edit.nodes[value.node])
        assert body is not None and known is not None
        source = edit.nodes[value.node]
        op, inputs = with_body(edit, node, body.put(value, known))
        log.rewrote(self.name, [node, source], f"{source.id} is {known.value}", source.types[0].nbytes)
        return edit.replace(node, op, inputs)

    def nodes(self, edit: Edit, match: Match) -> tuple[Node, ...]:
        """The node that would be folded."""
        return (match[0],)


def _evaluate(edit: Edit, node: Node) -> None:
    """Put constants in the place of a node over constants."""
    arrays = [edit.nodes[v.node].op.reference()[0] for v in node.inputs]
    results = node.op.reference(*arrays)
    if len(results) == 1:
        edit.replace(node, _const(results[0]), ())
        return
    with edit.within(node):
        for value, array in zip(node.outputs, results, strict=True):
            edit.redirect(value, edit.add1(_const(array)))
    edit.remove(node)


def _const(array: Array) -> Const:
    """Numbers without axes are kept as Python numbers, which read better in the text form."""
    return Const(array.item() if array.ndim == 0 else array)


def _literal(node: Node) -> Lit | None:
    """The number that fills the only result of a node, rounded as the node's type is."""
    if isinstance(node.op, Map) and len(node.op.exprs) == 1 and isinstance(node.op.exprs[0], Lit):
        return node.op.exprs[0]
    if isinstance(node.op, Const) and node.types[0].size == 1:
        value = node.op.reference()[0].item()
        assert isinstance(value, (bool, int, float))
        return Lit(value)
    return None
