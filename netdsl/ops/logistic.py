"""Scalar expressions about the logistic function that keep their digits where numbers are large."""

from __future__ import annotations

from netdsl.scalar import Expr, absolute, exp, log1p


def softplus(x: Expr) -> Expr:
    """`log(1 + exp(x))` without overflow.

    The positive part is `(x + |x|) / 2` and not `max(x, 0)`: the symbolic derivative is then right at 0 too, where
    every logit of an untrained network may be.
    """
    return (0.5 * x + 0.5 * absolute(x)) + log1p(exp(-absolute(x)))


def logistic_loss(x: Expr, t: Expr) -> Expr:
    """`softplus(x) - x * t`, the cross entropy of `sigmoid(x)` and t, which keeps its digits where both are large."""
    return (0.5 * x + 0.5 * absolute(x) - x * t) + log1p(exp(-absolute(x)))
