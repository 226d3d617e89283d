"""Algebra on scalar expressions: the operators of `netdsl.scalar` fold the obvious when applied again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from netdsl.scalar import Binary, Expr, Lit, Unary, Where, dtype_of, evaluate, power, where
from netdsl.scalar.expr import Dtype, children, rebuild

_OPERATORS: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": power,
}


@lru_cache(maxsize=8192)
def simplified(e: Expr, args: tuple[Dtype, ...]) -> Expr:
    """An expression of the same type and meaning without `x + 0`, `x * 1`, `--x`, and with literals computed.

    `args` are the types of the operands.  `stop_gradient` goes: it has no meaning once gradients are there.  As
    everywhere in these expressions `x * 0` is 0.  An equal expression comes back when there is nothing to do.
    """
    done: dict[int, Expr] = {}

    def visit(x: Expr) -> Expr:
        if id(x) not in done:
            kids = children(x)
            new = [visit(k) for k in kids]
            same = all(a is b for a, b in zip(kids, new, strict=True))
            done[id(x)] = _node(x if same else rebuild(x, new), args) if kids else x
        return done[id(x)]

    return visit(e)


def _node(x: Expr, args: tuple[Dtype, ...]) -> Expr:
    """The node `x`, whose operands are simplified; a rule that would change its type is not applied."""
    new = _candidate(x)
    return x if new == x or dtype_of(new, args) != dtype_of(x, args) else new


def _candidate(x: Expr) -> Expr:
    if not isinstance(x, (Unary, Binary, Where)):
        return x
    if all(isinstance(k, Lit) for k in children(x)):
        return _computed(x)
    match x:
        case Unary(op="neg", x=y):
            return -y
        case Unary(op="stop_gradient" | "float" | "int", x=y):
            return y
        case Unary(op="not", x=Unary(op="not", x=y)):
            return y
        case Binary(op=op, a=a, b=b) if op in _OPERATORS:
            return _OPERATORS[op](a, b)
        case Where(cond=c, a=a, b=b):
            return where(c, a, b)
    return x


def _computed(x: Expr) -> Expr:
    """The value of an operation on literals, as f32 arithmetic has it."""
    value = evaluate(x, [], (), np.float32).item()
    return Lit(value)
