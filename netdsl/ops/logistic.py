"""Scalar expressions of the logistic function that stay accurate where numbers are large.

The positive part and `|x|` are written with `where`, not with `max` and `abs`: then the first and second derivatives
are right at 0 too, where all logits of an untrained network may be.
"""

from __future__ import annotations

from netdsl.scalar import Expr, exp, log1p, where


def softplus(x: Expr) -> Expr:
    """`log(1 + exp(x))` without overflow."""
    return where(x > 0.0, x, 0.0) + _rest(x)


def logistic_loss(x: Expr, t: Expr) -> Expr:
    """`softplus(x) - x * t`, the cross entropy of `sigmoid(x)` and t, which keeps its digits where both are large."""
    return (where(x > 0.0, x, 0.0) - x * t) + _rest(x)


def _rest(x: Expr) -> Expr:
    """`log(1 + exp(-|x|))`, by which softplus is more than the positive part."""
    return log1p(exp(where(x > 0.0, -x, x)))
