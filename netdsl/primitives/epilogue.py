"""The epilogues that a contraction computes while it stores: bias, residual, and bounds such as ReLU's.

All others run as a map over the result afterwards. Passes ask here what fusing saves, and planners what to do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.ir import TensorType
from netdsl.scalar import Arg, Binary, Expr, Lit, Where


@dataclass(frozen=True)
class Epilogue:
    """What is added while storing: operand numbers of a bias `[F]` and a residual, and bounds."""

    bias: int | None = None
    residual: int | None = None
    low: float = -math.inf
    high: float = math.inf


NOTHING = Epilogue()


def match_epilogue(
    e: Expr | None, operands: Sequence[TensorType], result: TensorType
) -> tuple[Epilogue, Expr | None]:
    """The epilogue for the kernel, and what is left to do in a map over the result (all of `e`, or None).

    In `e` the sum is `x0` and `x1`, `x2`, ... are the operands after the first two of the contraction.
    """
    if e is None:
        return NOTHING, None
    low, high, inner = _bounds(e)
    terms = _terms(inner)
    if terms is None or terms.count(0) != 1:
        return NOTHING, e
    bias = residual = None
    for k in terms:
        if k == 0:
            continue
        shape = operands[k + 1].shape
        if bias is None and len(shape) == 1 and shape == result.shape[-1:]:
            bias = k + 1
        elif residual is None and shape == result.shape:
            residual = k + 1
        else:
            return NOTHING, e
    return Epilogue(bias, residual, low, high), None


def _bounds(e: Expr) -> tuple[float, float, Expr]:
    """`min(max(x, low), high)` taken apart."""
    high, inner = _bound(e, "min", "gt", math.inf)
    low, inner = _bound(inner, "max", "lt", -math.inf)
    return low, high, inner


def _bound(e: Expr, op: str, beyond: str, none: float) -> tuple[float, Expr]:
    """The bound and what is bounded, be it by `min` or `max` or by a choice, as `clip` does."""
    if isinstance(e, Binary) and e.op == op and isinstance(e.b, Lit):
        return float(e.b.value), e.a
    if isinstance(e, Where) and isinstance(e.a, Lit) and e.cond == Binary(beyond, e.b, e.a):
        return float(e.a.value), e.b
    return none, e


def _terms(e: Expr) -> list[int] | None:
    """The operands of a sum, or None for anything else."""
    if isinstance(e, Arg):
        return [e.index]
    if isinstance(e, Binary) and e.op == "add":
        left, right = _terms(e.a), _terms(e.b)
        return None if left is None or right is None else left + right
    return None
