"""Which views the kernels of the CPU take, and for which it pays."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.backend.elementwise import ELEMENTWISE
from netdsl.ir import Node
from netdsl.primitives import Contract, Map, Reduce, ReduceWindow, ReduceWindowGrad
from netdsl.schedule import Layout, Side, View

# The loosest layout of operands and of results; kernels that are not listed take dense views only.
TAKES: Mapping[type, tuple[Layout, Layout]] = {
    **dict.fromkeys(ELEMENTWISE, (Layout.STRIDED, Layout.STRIDED)),
    Reduce: (Layout.STRIDED, Layout.DENSE),
    Contract: (Layout.ROWS, Layout.ROWS),
    ReduceWindow: (Layout.ROWS, Layout.ROWS),
    ReduceWindowGrad: (Layout.ROWS, Layout.ROWS),
}

# Nests of maps and reductions run along rows, and a row that is no whole vector costs as much as one that is.
SHORT_ROW = 64
# A convolution with padding copies the pixels that it reads with the gaps between them.
WIDEST_GAP = 2


def accepts(node: Node, side: Side, index: int, view: View) -> bool:
    """Whether the kernel of a node takes a view as this operand or result, and loses less than a copy costs."""
    layout = view.layout
    if layout is Layout.DENSE:
        return True
    op = node.op
    reads, writes = TAKES.get(type(op), (Layout.DENSE, Layout.DENSE))
    if layout > (reads if side == "operand" else writes):
        return False
    row = view.shape[-1] * view.item
    if isinstance(op, Map | Reduce):
        return view.strides[-1] == view.item and row >= SHORT_ROW
    if isinstance(op, Contract):
        return _contract(op, side, index, view)
    return True


def _contract(op: Contract, side: Side, index: int, view: View) -> bool:
    """Kernels and their gradients, and a bias, are dense; a gradient of kernels gathers both of its operands."""
    if side == "result":
        return op.role != "backward_weights"
    if index == 1 and op.role != "backward_weights":
        return False
    if index < 2:
        padded = any(lo or hi for lo, hi in op.pad)
        return not padded or view.pitch <= WIDEST_GAP * view.shape[-1] * view.item
    return view.type.rank > 1
