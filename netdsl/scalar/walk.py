"""Walks over scalar expressions: their subexpressions and type, and replacing their leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netdsl.scalar.expr import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where
from netdsl.scalar.operators import Dtype, binary_dtype, literal_dtype, promote, unary_dtype

# By type rather than by patterns: planning a network asks a hundred thousand times.
_CHILDREN: dict[type[Expr], Callable[[Any], tuple[Expr, ...]]] = {
    **dict.fromkeys((Arg, Lit, Index), lambda _: ()),
    Unary: lambda e: (e.x,),
    Binary: lambda e: (e.a, e.b),
    Where: lambda e: (e.cond, e.a, e.b),
    Uniform: lambda e: (e.key,),
}


def children(e: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions."""
    return _CHILDREN[type(e)](e)


def rebuild(e: Expr, kids: Sequence[Expr]) -> Expr:
    """The same expression over other subexpressions (not simplified)."""
    match e:
        case Unary(op=op):
            return Unary(op, kids[0])
        case Binary(op=op):
            return Binary(op, kids[0], kids[1])
        case Where():
            return Where(kids[0], kids[1], kids[2])
        case Uniform(stream=stream, word=word):
            return Uniform(stream, kids[0], word)
    return e


def walk(e: Expr) -> list[Expr]:
    """Every distinct subexpression, operands before their users."""
    seen: set[int] = set()
    found: list[Expr] = []

    def visit(x: Expr) -> None:
        seen.add(id(x))
        for kid in children(x):
            if id(kid) not in seen:
                visit(kid)
        found.append(x)

    visit(e)
    return found


def substitute(e: Expr, leaf: Callable[[Expr], Expr | None]) -> Expr:
    """Replace leaves (and random leaves) for which `leaf` returns an expression; sharing is kept."""
    memo: dict[int, Expr] = {}

    def visit(x: Expr) -> Expr:
        if id(x) not in memo:
            new = leaf(x)
            kids = children(x)
            memo[id(x)] = new if new is not None else rebuild(x, [visit(k) for k in kids]) if kids else x
        return memo[id(x)]

    return visit(e)


def dtype_of(e: Expr, args: Sequence[Dtype]) -> Dtype:
    """The type of an expression over operands of the given types; raises TypeError where it is not well formed."""
    return dtype_of_last(walk(e), args)


def dtype_of_last(parts: Sequence[Expr], args: Sequence[Dtype]) -> Dtype:
    """The type of the last of subexpressions in the order of `walk`; errors as of `dtype_of`."""
    memo: dict[int, Dtype] = {}
    for x in parts:
        memo[id(x)] = node_dtype(x, [memo[id(k)] for k in children(x)], args)
    return memo[id(parts[-1])]


def node_dtype(x: Expr, kids: Sequence[Dtype], args: Sequence[Dtype]) -> Dtype:
    """The type of an expression whose direct subexpressions have the types `kids`; see `dtype_of`."""
    match x:
        case Arg(index=i):
            if not 0 <= i < len(args):
                raise TypeError(f"operand {i} of {len(args)}")
            return args[i]
        case Lit(value=v):
            return literal_dtype(v)
        case Index():
            return "i64"
        case Uniform():
            return "f32"
        case Where():
            return promote(kids[1], kids[2])
        case Unary(op=op):
            return unary_dtype(op, kids[0])
        case Binary(op=op):
            return binary_dtype(op, kids[0], kids[1])
    raise TypeError(f"not an expression: {x!r}")
