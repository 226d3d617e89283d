"""Algebra of derivatives: f32, with zeros and ones that mean that nothing flows, or all of it.

Such a 0 stays 0 whatever it is multiplied with, infinity too: where a branch is not taken, or an operand not read,
there is no gradient.  So `x * 0` is 0 here, and what `where` masks stays masked.
"""

from __future__ import annotations

from netdsl.scalar.expr import Expr, Lit, Where

ZERO, ONE = Lit(0.0), Lit(1.0)


def total(x: Expr, y: Expr) -> Expr:
    """`x + y`."""
    return y if x == ZERO else x if y == ZERO else x + y


def difference(x: Expr, y: Expr) -> Expr:
    """`x - y`."""
    return x if y == ZERO else -y if x == ZERO else x - y


def product(x: Expr, y: Expr) -> Expr:
    """`x * y`."""
    if ZERO in (x, y):
        return ZERO
    for factor, other in ((x, y), (y, x)):
        if factor == ONE:
            return other
        if factor == Lit(-1.0):
            return -other
    for mask, other in ((x, y), (y, x)):
        if isinstance(mask, Where) and mask.b == ZERO:
            return Where(mask.cond, product(other, mask.a), ZERO)
    return x * y


def quotient(x: Expr, y: Expr) -> Expr:
    """`x / y`."""
    if ZERO == x or y == ONE:
        return x
    if isinstance(x, Where) and x.b == ZERO:
        return Where(x.cond, quotient(x.a, y), ZERO)
    return x / y
