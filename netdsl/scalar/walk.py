"""Walks over scalar expressions: their subexpressions and type, and replacing their leaves.

Planning a network asks a hundred thousand times.  So what depends on the kind of an expression is looked up by its
type, not matched, and recursion is in functions of the module: one that is made for each walk and calls itself is a
cycle of objects, which keeps all that it knows until the garbage collector comes by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_ as _is
from typing import Any

from netdsl.scalar.expr import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where
from netdsl.scalar.operators import Dtype, binary_dtype, literal_dtype, promote, unary_dtype

_CHILDREN: Mapping[type[Expr], Callable[[Any], tuple[Expr, ...]]] = {
    **dict.fromkeys((Arg, Lit, Index), lambda _: ()),
    Unary: lambda e: (e.x,),
    Binary: lambda e: (e.a, e.b),
    Where: lambda e: (e.cond, e.a, e.b),
    Uniform: lambda e: (e.key,),
}
_REBUILT: Mapping[type[Expr], Callable[..., Expr]] = {
    Unary: lambda e, x: e if x is e.x else Unary(e.op, x),
    Binary: lambda e, a, b: e if a is e.a and b is e.b else Binary(e.op, a, b),
    Where: lambda e, *kids: e if all(map(_is, kids, children(e))) else Where(*kids),
    Uniform: lambda e, key: e if key is e.key else Uniform(e.stream, key, e.word),
}


def children(e: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions."""
    return _CHILDREN[type(e)](e)


def rebuild(e: Expr, kids: Sequence[Expr]) -> Expr:
    """The same expression over other subexpressions (not simplified): itself over its own."""
    return _REBUILT[type(e)](e, *kids) if kids else e


def walk(e: Expr) -> list[Expr]:
    """Every distinct subexpression, operands before their users."""
    found: list[Expr] = []
    _collect(e, set(), found)
    return found


def _collect(x: Expr, seen: set[int], found: list[Expr]) -> None:
    seen.add(id(x))
    for kid in _CHILDREN[type(x)](x):
        if id(kid) not in seen:
            _collect(kid, seen, found)
    found.append(x)


def substitute(e: Expr, leaf: Callable[[Expr], Expr | None]) -> Expr:
    """Replace leaves (and random leaves) for which `leaf` returns an expression; sharing is kept."""
    return _substituted(e, leaf, {})


def _substituted(x: Expr, leaf: Callable[[Expr], Expr | None], memo: dict[int, Expr]) -> Expr:
    if (known := memo.get(id(x))) is not None:
        return known
    if (new := leaf(x)) is None:
        new = rebuild(x, [_substituted(kid, leaf, memo) for kid in _CHILDREN[type(x)](x)])
    memo[id(x)] = new
    return new


def dtype_of(e: Expr, args: Sequence[Dtype]) -> Dtype:
    """The type of an expression over operands of the given types; raises TypeError where it is not well formed."""
    return dtype_of_last(walk(e), args)


def dtype_of_last(parts: Sequence[Expr], args: Sequence[Dtype]) -> Dtype:
    """The type of the last of subexpressions in the order of `walk`; errors as of `dtype_of`."""
    memo: dict[int, Dtype] = {}
    for x in parts:
        memo[id(x)] = node_dtype(x, [memo[id(k)] for k in _CHILDREN[type(x)](x)], args)
    return memo[id(parts[-1])]


def node_dtype(x: Expr, kids: Sequence[Dtype], args: Sequence[Dtype]) -> Dtype:
    """The type of an expression whose direct subexpressions have the types `kids`; see `dtype_of`."""
    if isinstance(x, Binary):
        return binary_dtype(x.op, kids[0], kids[1])
    if isinstance(x, Arg):
        if not 0 <= x.index < len(args):
            raise TypeError(f"operand {x.index} of {len(args)}")
        return args[x.index]
    if isinstance(x, Lit):
        return literal_dtype(x.value)
    if isinstance(x, Unary):
        return unary_dtype(x.op, kids[0])
    if isinstance(x, Where):
        return promote(kids[1], kids[2])
    if isinstance(x, Index):
        return "i64"
    if isinstance(x, Uniform):
        return "f32"
    raise TypeError(f"not an expression: {x!r}")
