"""`common_subexpressions`: compute equal things once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.cost import nbytes
from netdsl.ir import Graph, Op, Value
from netdsl.passes.base import Pass
from netdsl.passes.edit import Edit
from netdsl.passes.log import Log
from netdsl.primitives import Map


@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """Two nodes on one GPU with equal ops over the same operands become the first of them.

    Leaves are never merged: two params that start alike are still two.  Random numbers with the same stream and
    key are equal, so what the backward pass draws again is what the forward pass drew.
    """

    name: ClassVar[str] = "common_subexpressions"

    def run(self, graph: Graph, log: Log) -> Graph:
        """Number values in order; a node that was seen before gives way."""
        edit = Edit(graph)
        first: dict[tuple[Op, tuple[Value, ...], int | None], str] = {}
        for name in [n.id for n in graph]:
            node = edit.nodes[name]
            if not node.inputs and not isinstance(node.op, Map):
                continue
            twin = edit.nodes[first.setdefault((node.op, node.inputs, node.gpu), name)]
            if twin.id != name:
                log.rewrote(self.name, [node, twin], f"equal to {twin.id}", nbytes(node.types))
                edit.replace(twin, twin.op, twin.inputs, merged=[node])
                for old, new in zip(node.outputs, twin.outputs, strict=True):
                    edit.redirect(old, new)
                edit.remove(node)
        return edit.done()
