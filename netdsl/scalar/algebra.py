"""Simplification of derivatives, where a literal 0 means that there is no gradient.

Here `x * 0` is 0 even where x is infinite.  So a branch of `where` that is not taken, and an operand that is not
read, get a gradient of 0 and never NaN.
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
