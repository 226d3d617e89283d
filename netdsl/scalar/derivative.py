"""The symbolic derivative of a scalar expression, also in terms of its own result."""

from __future__ import annotations

import math

from netdsl.scalar.algebra import ONE, ZERO, difference, product, quotient, total
from netdsl.scalar.expr import Arg, Binary, Expr, Lit, Unary, Where, power
from netdsl.scalar.functions import cos, eq, exp, log, sign, sin, where
from netdsl.scalar.walk import children, substitute, walk


def partial(e: Expr, arg: int) -> Expr:
    """d e / d Arg(arg).  At kinks as PyTorch: relu'(0) = 0, and equal operands of max get half each."""
    memo: dict[int, Expr] = {}
    for x in walk(e):
        memo[id(x)] = _rule(x, [memo[id(k)] for k in children(x)], arg)
    return substitute(memo[id(e)], _moving)


def _moving(x: Expr) -> Expr | None:
    """The operand that was fixed for one derivative, and moves in the next."""
    return x.x if isinstance(x, Unary) and x.op == "stationary" else None


def derivative(e: Expr, arg: int, result: Expr) -> Expr:
    """d e / d Arg(arg), written with `result` (the value of `e`) where that is cheaper.

    With `max(x, 0)`, `exp`, `tanh`, `sigmoid` or `sqrt` at the root, the backward pass then reads the layer's
    output, which is stored anyway, instead of its input.
    """
    match e:
        case Unary(op="exp", x=x):
            return product(result, partial(x, arg))
        case Unary(op="tanh", x=x):
            return product(1.0 - result * result, partial(x, arg))
        case Unary(op="sigmoid", x=x):
            return product(result * (1.0 - result), partial(x, arg))
        case Unary(op="sqrt", x=x):
            return product(0.5 / result, partial(x, arg))
        case Binary(op="max", a=x, b=Lit(value=bound)):
            return where(result > bound, partial(x, arg), ZERO)
    return partial(e, arg)


def _rule(x: Expr, d: list[Expr], arg: int) -> Expr:
    match x:
        case Arg(index=i):
            return ONE if i == arg else ZERO
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
            return product(sign(y), d)
        case "exp":
            return product(value, d)
        case "expm1":
            return product(exp(y), d)
        case "log":
            return quotient(d, y)
        case "log1p":
            return quotient(d, 1.0 + y)
        case "sqrt":
            return product(d, 0.5 / value)
        case "sin":
            return product(cos(y), d)
        case "cos":
            return -product(sin(y), d)
        case "tanh":
            return product(1.0 - value * value, d)
        case "sigmoid":
            return product(value * (1.0 - value), d)
        case "erf":
            return product(exp(-(y * y)) * (2.0 / math.sqrt(math.pi)), d)
        case "float":
            return d
    # The derivative of sign, floor, ceil, round, int and not is 0; stop_gradient and stationary are 0 by definition.
    return ZERO


def _binary_rule(op: str, a: Expr, b: Expr, value: Expr, da: Expr, db: Expr) -> Expr:
    match op:
        case "add":
            return total(da, db)
        case "sub":
            return difference(da, db)
        case "mul":
            return total(product(da, b), product(a, db))
        case "div":
            return difference(quotient(da, b), product(value / b, db))
        case "pow":
            left = product(product(da, b), power(a, b - 1.0))
            return total(left, product(product(db, value), log(a)))
        case "max":
            return _kink(a > b, a, b, da, db)
        case "min":
            return _kink(a < b, a, b, da, db)
        case "mod":
            return difference(da, product(a // b, db))
    return ZERO


def _kink(first: Expr, a: Expr, b: Expr, da: Expr, db: Expr) -> Expr:
    if isinstance(b, Lit):
        return where(first, da, db)
    return where(eq(a, b), product(Lit(0.5), total(da, db)), where(first, da, db))
