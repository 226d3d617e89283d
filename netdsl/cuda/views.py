"""Which views the kernels of CUDA take."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.backend.elementwise import ELEMENTWISE
from netdsl.cuda.contract.plan import accepts as contract_accepts
from netdsl.ir import Node
from netdsl.primitives import Contract, Reduce, ReduceWindow, ReduceWindowGrad
from netdsl.schedule import Layout, Side, View

#: the loosest layout of operands and of results; kernels that are not listed take dense views only
TAKES: Mapping[type, tuple[Layout, Layout]] = {
    **dict.fromkeys(ELEMENTWISE, (Layout.STRIDED, Layout.STRIDED)),
    Reduce: (Layout.STRIDED, Layout.STRIDED),
    ReduceWindow: (Layout.STRIDED, Layout.STRIDED),
    ReduceWindowGrad: (Layout.STRIDED, Layout.STRIDED),
}


def accepts(node: Node, side: Side, index: int, view: View) -> bool:
    """Whether the kernel of a node takes a view as this operand or result, and loses less than a copy costs."""
    if isinstance(node.op, Contract):
        return contract_accepts(node, side, index, view)
    reads, writes = TAKES.get(type(node.op), (Layout.DENSE, Layout.DENSE))
    if view.layout > (reads if side == "operand" else writes):
        return False
    # Windows read a cell several times, so that a copy pays where neighbouring channels are no neighbours.
    return not isinstance(node.op, ReduceWindow | ReduceWindowGrad) or view.strides[-1] == view.item
