"""The first place where a condition holds, and the value there: used to find the cell of a maximum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netdsl.ir.graph import Value
from netdsl.scalar import Arg, Expr, Index, as_expr, eq, where

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder


def place_along(axes: Sequence[int], sizes: Sequence[int]) -> Expr:
    """The number of a cell among those of `axes`, in row-major order, as a scalar expression."""
    place = as_expr(0)
    for axis, size in zip(axes, sizes, strict=True):
        place = place * size + Index(axis)
    return place


def first_place(
    b: PrimitiveBuilder, hit: Expr, over: Sequence[Value], place: Expr, axes: Sequence[int]
) -> Value:
    """The smallest `place` along `axes`, kept with size 1, where `hit` of the elements holds; else 2**62."""
    return b.reduce_expr("min", where(hit, place, 2**62), *over, axes=tuple(axes), keepdims=True)


def value_at(b: PrimitiveBuilder, values: Value, first: Value, place: Expr, axes: Sequence[int]) -> Value:
    """The element of `values` whose `place` along `axes` is `first`, 0 where there is none; without the axes."""
    return b.reduce_expr("sum", where(eq(Arg(1), place), Arg(0), 0.0), values, first, axes=tuple(axes))
