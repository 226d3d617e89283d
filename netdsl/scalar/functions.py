"""Functions that build scalar expressions: `maximum(x, 0)`, `exp(x)`, `where(c, x, y)`."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.scalar.expr import Binary, Expr, Lit, Unary, Where, as_expr, kind_of
from netdsl.scalar.operators import Number


def maximum(x: Expr | Number, y: Expr | Number) -> Expr:
    """The larger of two."""
    return Binary("max", as_expr(x), as_expr(y))


def minimum(x: Expr | Number, y: Expr | Number) -> Expr:
    """The smaller of two."""
    return Binary("min", as_expr(x), as_expr(y))


def eq(x: Expr | Number, y: Expr | Number) -> Expr:
    """Whether two scalars are equal."""
    return Binary("eq", as_expr(x), as_expr(y))


def ne(x: Expr | Number, y: Expr | Number) -> Expr:
    """Whether two scalars differ."""
    return Binary("ne", as_expr(x), as_expr(y))


def logical_and(x: Expr, y: Expr) -> Expr:
    """Both conditions."""
    return Binary("and", x, y)


def logical_or(x: Expr, y: Expr) -> Expr:
    """Either condition."""
    return Binary("or", x, y)


def logical_not(x: Expr) -> Expr:
    """The opposite condition."""
    return Unary("not", x)


def where(cond: Expr, x: Expr | Number, y: Expr | Number) -> Expr:
    """`x` where `cond` holds, else `y`."""
    a, b = as_expr(x), as_expr(y)
    if a == b:
        return a
    if isinstance(cond, Lit) and kind_of(a) is not None and kind_of(a) == kind_of(b):
        return a if cond.value else b
    return Where(cond, a, b)


def _unary(op: str) -> Callable[[Expr | Number], Expr]:
    def build(x: Expr | Number) -> Expr:
        return Unary(op, as_expr(x))

    build.__name__ = op
    build.__doc__ = f"The function `{op}` of one scalar."
    return build


absolute = _unary("abs")
sign = _unary("sign")
exp = _unary("exp")
expm1 = _unary("expm1")
log = _unary("log")
log1p = _unary("log1p")
sqrt = _unary("sqrt")
sin = _unary("sin")
cos = _unary("cos")
tanh = _unary("tanh")
sigmoid = _unary("sigmoid")
erf = _unary("erf")
floor = _unary("floor")
ceil = _unary("ceil")
round_even = _unary("round")
cast_float = _unary("float")
cast_int = _unary("int")
stop_gradient = _unary("stop_gradient")
stationary = _unary("stationary")
"""An operand that nothing changes with to first order: derivatives hold it fixed, and then have it in its place."""
