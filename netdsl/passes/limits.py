"""How large fused expressions may become."""

from __future__ import annotations

from netdsl.cost import facts
from netdsl.passes.body import Body

MAX_SIZE = 160
"""Operations and leaves of all expressions of a node, written out: past this a kernel runs out of registers."""

MAX_OPERANDS = 12
"""Operands and results of a node: each needs a pointer and strides in a register."""


def oversize(body: Body, results: int, max_size: int, max_operands: int) -> str | None:
    """Why a fused body would be too large, or None."""
    size = sum(facts(e).size for e in body.exprs)
    if size > max_size:
        return f"too large: {size} operations and operands, the limit is {max_size}"
    if (count := len(body.operands) + results) > max_operands:
        return f"too many tensors: {count}, the limit is {max_operands}"
    return None
