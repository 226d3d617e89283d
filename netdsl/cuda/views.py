"""Which views the kernels of CUDA take."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.ir import Node
from netdsl.primitives import Concat, Map, Pad, Slice, Transpose
from netdsl.schedule import Layout, Side, View

#: the loosest layout of operands and of results; kernels that are not listed take dense views only
TAKES: Mapping[type, tuple[Layout, Layout]] = {
    Map: (Layout.STRIDED, Layout.STRIDED),
    Concat: (Layout.STRIDED, Layout.STRIDED),
    Slice: (Layout.STRIDED, Layout.STRIDED),
    Pad: (Layout.STRIDED, Layout.STRIDED),
    Transpose: (Layout.STRIDED, Layout.STRIDED),
}


def accepts(node: Node, side: Side, index: int, view: View) -> bool:
    """Whether the kernel of a node takes a view as this operand or result."""
    reads, writes = TAKES.get(type(node.op), (Layout.DENSE, Layout.DENSE))
    return view.layout <= (reads if side == "operand" else writes)
