"""New values of leaves, kept only where the whole step is finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from netdsl.ir import Value
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Expr, eq, where

CHECK = "check/"
"""What the names of the nodes start with that look whether a leaf's new values are finite."""
MOST = 8
"""Checks that are added at a time."""


def all_finite(b: PrimitiveBuilder, checks: Sequence[Value]) -> Value:
    """0 where all checks are 0, else NaN."""
    left = list(checks)
    while len(left) > 1:
        parts = [left[k : k + MOST] for k in range(0, len(left), MOST)]
        left = [b.map_expr(reduce(add, map(Arg, range(len(part)))), *part) for part in parts]
    return left[0]


@dataclass(frozen=True)
class LeafChange:
    """The new values of leaves of one shape, as expressions over `operands`, which begin with the leaves.

    `also` are values that the new ones come from, and that must be finite too.
    """

    leaves: tuple[Value, ...]
    operands: tuple[Value, ...]
    new: tuple[Expr, ...]
    also: tuple[Expr, ...] = ()

    def check(self, b: PrimitiveBuilder) -> Value:
        """0 where all new values are finite, else NaN: every `x - x` is one or the other.

        No check depends on another, so that a device may compute many of them at a time.
        """
        shape = b.type(self.leaves[0]).shape
        total = reduce(add, (x - x for x in (*self.new, *self.also)))
        with b.within(b.nodes[self.leaves[0].node], f"{CHECK}{self.leaves[0].node}"):
            return b.reduce_expr("sum", total, *self.operands, axes=tuple(range(len(shape))), shape=shape)

    def commit(self, b: PrimitiveBuilder, finite: Value) -> None:
        """Store the new values, if the step is finite."""
        shape = b.type(self.leaves[0]).shape
        with b.within(b.nodes[self.leaves[0].node], f"update/{self.leaves[0].node}"):
            for k, (leaf, new) in enumerate(zip(self.leaves, self.new, strict=True)):
                kept = where(eq(Arg(len(self.operands)), 0.0), new, Arg(k))
                b.update(leaf, b.map_expr(kept, *self.operands, finite, shape=shape))
