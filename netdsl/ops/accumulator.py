"""What losses and metrics have in common: a batch adds to sums, and the sums of a set give its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.ir import Value
from netdsl.ops.base import LibraryOp
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import cast_float, eq, where

Sum = Value | int


@dataclass(frozen=True)
class Accumulator(LibraryOp):
    """Base of the ops that make one number of a whole batch, or a list or a table of numbers.

    The number of a set is not the mean of those of its batches, where these count different things.  So an op says
    what a batch adds to its `sums`, whose shapes are the same for every batch, and what they come to: `combine`
    within the graph, for the batch that is trained on, and `result` for the sums of all batches, in float64.
    """

    larger_is_better: ClassVar[bool] = False
    #: whether something can be learnt from it; metrics only tell
    has_gradient: ClassVar[bool] = True

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """What a batch adds: f32 totals, i64 counts, or numbers that its shape says, in proportion to the samples."""
        raise NotImplementedError(f"{self.name} has no sums")

    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        """The value of the sums of one batch, f32."""
        raise NotImplementedError(f"{self.name} does not combine its sums")

    def result(self, *sums: Sequence[float]) -> Any:
        """The value of the sums of many batches, added up in float64; each has its elements in a row.

        It is a number, a list of numbers, or a list of lists.
        """
        raise NotImplementedError(f"{self.name} has no result")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The sums, combined."""
        return (self.combine(b, *self.sums(b, *values)),)


@dataclass(frozen=True)
class Mean(Accumulator):
    """Base of weighted means: the sums are a total and the weight that it is divided by; 0 where nothing counts."""

    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        """Their quotient."""
        total, weight = (s if isinstance(s, int) else _number(b, s) for s in sums)
        assert isinstance(total, Value)
        if isinstance(weight, int):
            return b.map(lambda t: t / float(weight), total)
        return b.map(lambda t, w: where(eq(w, 0.0), 0.0, t / w), total, weight)

    def result(self, *sums: Sequence[float]) -> float:
        """Their quotient."""
        (total,), (weight,) = sums
        return total / weight if weight else 0.0


def _number(b: PrimitiveBuilder, value: Value) -> Value:
    """A total or a count as f32."""
    return b.map(cast_float, value) if b.type(value).dtype == "i64" else value
