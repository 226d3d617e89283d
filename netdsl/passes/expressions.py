"""Simplify scalar expressions by applying the operators of `netdsl.scalar` again, which simplify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from netdsl.scalar import (
    Arg,
    Binary,
    Expr,
    Lit,
    Unary,
    Where,
    dtype_of,
    evaluate,
    power,
    substitute,
    walk,
    where,
)
from netdsl.scalar.operators import Dtype
from netdsl.scalar.walk import children, rebuild

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

    `args` are the types of the operands.  What only gradients heed, such as
    `stop_gradient`, goes: they are there already.  An equal expression comes back when there is nothing to do.
    """
    typed = substitute(e, lambda x: _typed(x, args))
    done: dict[int, Expr] = {}
    for x in walk(typed):
        kids = children(x)
        done[id(x)] = _node(rebuild(x, [done[id(k)] for k in kids]), args) if kids else x
    return _bare(done[id(typed)], args)


def _typed(x: Expr, args: tuple[Dtype, ...]) -> Expr | None:
    """An operand with a cast to its own type, so that the operators know its type."""
    if not isinstance(x, Arg) or args[x.index] == "bool":
        return None
    return Unary("float" if args[x.index] == "f32" else "int", x)


def _bare(e: Expr, args: tuple[Dtype, ...]) -> Expr:
    """Remove the casts of operands to their own types."""
    done: dict[int, Expr] = {}
    for x in walk(e):
        kids = [done[id(k)] for k in children(x)]
        cast = isinstance(x, Unary) and isinstance(x.x, Arg) and x == _typed(x.x, args)
        done[id(x)] = kids[0] if cast else rebuild(x, kids)
    return done[id(e)]


def _node(x: Expr, args: tuple[Dtype, ...]) -> Expr:
    """The node `x`, whose operands are simplified; a rule that would change its type is not applied."""
    new = _candidate(x)
    return x if new == x or dtype_of(new, args) != dtype_of(x, args) else _node(new, args)


def _candidate(x: Expr) -> Expr:
    if not isinstance(x, (Unary, Binary, Where)):
        return x
    if all(isinstance(k, Lit) for k in children(x)):
        return _computed(x)
    match x:
        case Unary(op="neg", x=y):
            return -y
        case Unary(op="float" | "int" | "stop_gradient" | "stationary", x=y) if not isinstance(y, Arg):
            return y
        case Unary(op="not", x=Unary(op="not", x=y)):
            return y
        case Binary(op=op, a=a, b=b) if op in _OPERATORS:
            return _OPERATORS[op](a, b)
        case Where(cond=Lit(value=holds), a=a, b=b):
            return a if holds else b
        case Where(cond=c, a=a, b=b):
            return where(c, a, b)
    return x


def _computed(x: Expr) -> Expr:
    """The value of an operation on literals, as f32 arithmetic has it."""
    value = evaluate(x, [], (), np.float32).item()
    return Lit(value)
