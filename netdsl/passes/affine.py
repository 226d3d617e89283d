"""Expressions that are `scale * x + shift` in one operand."""

from __future__ import annotations

from netdsl.scalar import Arg, Binary, Expr, Unary
from netdsl.scalar.algebra import ONE, ZERO, difference, product, quotient, total
from netdsl.scalar.walk import children, walk


def affine(e: Expr, arg: int) -> tuple[Expr, Expr] | None:
    """`(scale, shift)` with `e = scale * Arg(arg) + shift`, neither reading that operand; None when there is none."""
    found: dict[int, tuple[Expr, Expr] | None] = {}
    for x in walk(e):
        found[id(x)] = _rule(x, [found[id(k)] for k in children(x)], arg)
    return found[id(e)]


def _rule(x: Expr, kids: list[tuple[Expr, Expr] | None], arg: int) -> tuple[Expr, Expr] | None:
    if isinstance(x, Arg) and x.index == arg:
        return ONE, ZERO
    if all(k is not None and k[0] == ZERO for k in kids):
        return ZERO, x
    match x, kids:
        case Unary(op="neg"), [(s, t)]:
            return -s, -t
        case Binary(op="add"), [(s, t), (u, v)]:
            return total(s, u), total(t, v)
        case Binary(op="sub"), [(s, t), (u, v)]:
            return difference(s, u), difference(t, v)
        case Binary(op="mul", a=a), [(s, t), (u, v)] if s == ZERO:
            return product(a, u), product(a, v)
        case Binary(op="mul", b=b), [(s, t), (u, v)] if u == ZERO:
            return product(s, b), product(t, b)
        case Binary(op="div", b=b), [(s, t), (u, _)] if u == ZERO:
            return quotient(s, b), quotient(t, b)
    return None
