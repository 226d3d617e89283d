"""The symbolic derivative of a scalar expression, and the one by its own result."""

from __future__ import annotations

import math

from netdsl.scalar.expr import (
    Arg,
    Binary,
    Expr,
    Lit,
    Unary,
    Where,
    children,
    cos,
    eq,
    exp,
    log,
    power,
    sign,
    sin,
    walk,
    where,
)

ZERO = Lit(0.0)


def partial(e: Expr, arg: int) -> Expr:
    """d e / d Arg(arg).  At kinks the convention is PyTorch's: relu'(0) = 0, equal operands of max share."""
    memo: dict[int, Expr] = {}
    for x in walk(e):
        memo[id(x)] = _rule(x, [memo[id(k)] for k in children(x)], arg)
    return memo[id(e)]


def derivative(e: Expr, arg: int, result: Expr) -> Expr:
    """d e / d Arg(arg), written with `result` (the value of `e`) where that is cheaper.

    With `max(x, 0)`, `exp`, `tanh`, `sigmoid` and `sqrt` at the root the backward pass then needs the layer's
    output, which is kept anyway, and not its input.
    """
    match e:
        case Unary(op="exp", x=x):
            return result * partial(x, arg)
        case Unary(op="tanh", x=x):
            return (1.0 - result * result) * partial(x, arg)
        case Unary(op="sigmoid", x=x):
            return (result * (1.0 - result)) * partial(x, arg)
        case Unary(op="sqrt", x=x):
            return (0.5 / result) * partial(x, arg)
        case Binary(op="max", a=x, b=Lit(value=bound)):
            return where(result > bound, partial(x, arg), ZERO)
    return partial(e, arg)


def _rule(x: Expr, d: list[Expr], arg: int) -> Expr:
    match x:
        case Arg(index=i):
            return Lit(1.0) if i == arg else ZERO
        case Where(cond=c):
            return where(c, d[1], d[2])
        case Unary(op=op, x=y):
            return ZERO if d[0] == ZERO else _unary_rule(op, y, x, d[0])
        case Binary(op=op, a=a, b=b):
            return ZERO if d[0] == ZERO and d[1] == ZERO else _binary_rule(op, a, b, x, d[0], d[1])
    return ZERO


def _unary_rule(op: str, y: Expr, value: Expr, d: Expr) -> Expr:
    match op:
        case "neg":
            return -d
        case "abs":
            return sign(y) * d
        case "exp":
            return value * d
        case "expm1":
            return exp(y) * d
        case "log":
            return d / y
        case "log1p":
            return d / (1.0 + y)
        case "sqrt":
            return d * (0.5 / value)
        case "sin":
            return cos(y) * d
        case "cos":
            return -(sin(y) * d)
        case "tanh":
            return (1.0 - value * value) * d
        case "sigmoid":
            return (value * (1.0 - value)) * d
        case "erf":
            return (exp(-(y * y)) * (2.0 / math.sqrt(math.pi))) * d
        case "float":
            return d
    # sign, floor, ceil, round, int, not: flat; stop_gradient: cut on purpose
    return ZERO


def _binary_rule(op: str, a: Expr, b: Expr, value: Expr, da: Expr, db: Expr) -> Expr:
    match op:
        case "add":
            return da + db
        case "sub":
            return da - db
        case "mul":
            return da * b + a * db
        case "div":
            return da / b - (value / b) * db
        case "pow":
            left = ZERO if da == ZERO else da * b * power(a, b - 1.0)
            return left + (ZERO if db == ZERO else db * value * log(a))
        case "max":
            return _kink(a > b, a, b, da, db)
        case "min":
            return _kink(a < b, a, b, da, db)
        case "mod":
            return da
    return ZERO


def _kink(first: Expr, a: Expr, b: Expr, da: Expr, db: Expr) -> Expr:
    if isinstance(b, Lit):
        return where(first, da, db)
    return where(eq(a, b), 0.5 * (da + db), where(first, da, db))
