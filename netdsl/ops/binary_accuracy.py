"""`binary_accuracy`: the share of logits on the right side of the threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.accumulator import Mean, Sum
from netdsl.ops.base import setting
from netdsl.ops.settings import number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, logical_and, logical_or, where


@dataclass(frozen=True)
class BinaryAccuracy(Mean):
    """The share of predictions that are above the threshold where the target is 1, and not above it where it is 0.

    Targets are those of `binary_cross_entropy`; above a half they count as 1.  The threshold is that of logits; of
    probabilities it is 0.5.  Keras BinaryAccuracy.
    """

    name: ClassVar[str] = "binary_accuracy"
    operands: ClassVar[int | None] = 2
    larger_is_better: ClassVar[bool] = True
    has_gradient: ClassVar[bool] = False
    threshold: float = setting("predictions above it say 1", 0.0, number)

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """Zeros and ones, as many as predictions."""
        return prediction

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if len(types) != 2 or types[0].dtype != "f32" or types[1] != types[0]:
            message = f"binary_accuracy compares {types[0].words} with {types[-1].words}"
            raise ShapeError(message, operand=1, hint="a target of 0 or 1 for each prediction")
        return (TensorType(()),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return ["one number for the whole batch"]

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """The hits, and how many predictions there are."""
        shape = b.type(values[0]).shape

        def hit(x: Expr, t: Expr) -> Expr:
            both = logical_and(x > self.threshold, t > 0.5)
            # A NaN is on neither side.
            neither = logical_and(x <= self.threshold, t <= 0.5)
            return where(logical_or(both, neither), 1, 0)

        return b.reduce("sum", hit, *values, axes=range(len(shape))), math.prod(shape)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = arrays
        wanted = np.where(t > 0.5, x > self.threshold, x <= self.threshold)
        return (np.asarray(wanted.mean(), x.dtype),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One logit, several, maps, probabilities; targets of another shape refused."""
        return (
            Sample(cls(), ((7, 1), (7, 1)), smooth=False),
            Sample(cls(), ((3, 5), (3, 5)), smooth=False),
            Sample(cls(0.5), ((2, 3, 4, 1), (2, 3, 4, 1)), low=0.0, high=1.0, smooth=False),
            Sample(cls(), ((3, 5), (3,)), error="binary_accuracy compares"),
        )
