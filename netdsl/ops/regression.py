"""`rmse` and `r2`: metrics of numbers; `mae` and `mse` are losses that may stand as metrics too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.accumulator import Accumulator, Sum
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, eq, sqrt, stop_gradient, where


@dataclass(frozen=True)
class OfNumbers(Accumulator):
    """Base of metrics that compare predictions with as many numbers."""

    operands: ClassVar[int | None] = 2
    has_gradient: ClassVar[bool] = False

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """As many numbers."""
        return prediction

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if len(types) != 2 or types[0].dtype != "f32" or types[1] != types[0]:
            raise ShapeError(f"{self.name} compares {types[0].words} with {types[-1].words}", operand=1)
        return (TensorType(()),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return ["one number for the whole batch"]

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Vectors, maps, one number, shapes that differ."""
        return (
            Sample(cls(), ((6, 4), (6, 4)), smooth=False),
            Sample(cls(), ((2, 3, 2, 1), (2, 3, 2, 1)), smooth=False),
            Sample(cls(), ((3, 4), (3, 5)), error="compares"),
        )


def _squared(x: Expr, t: Expr) -> Expr:
    return stop_gradient((x - t) * (x - t))


@dataclass(frozen=True)
class Rmse(OfNumbers):
    """The root of the mean of the squared errors, over the whole set.  Keras RootMeanSquaredError."""

    name: ClassVar[str] = "rmse"

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """The squared errors, and how many there are."""
        shape = b.type(values[0]).shape
        return b.reduce("sum", _squared, *values, axes=range(len(shape))), math.prod(shape)

    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        """The root of their quotient."""
        total, count = sums
        assert isinstance(total, Value) and isinstance(count, int)
        return b.map(lambda e: sqrt(e / float(count)), total)

    @override
    def result(self, *sums: Sequence[float]) -> Any:
        (total,), (count,) = sums
        return math.sqrt(total / count)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = arrays
        return (np.asarray(np.sqrt(np.square(x - t).mean()), x.dtype),)


@dataclass(frozen=True)
class R2(OfNumbers):
    """`1 - squared errors / squared distances from the mean` of each channel over the set; the mean of the channels.

    0 for a channel whose targets are all the same, 1 where the predictions are too.  Targets far from 0 lose digits:
    about `1e-7 * mean^2 / variance`.  scikit-learn r2_score (`uniform_average`), Keras R2Score.
    """

    name: ClassVar[str] = "r2"
    larger_is_better: ClassVar[bool] = True

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """Of each channel the squared errors, the targets and their squares; how many there are."""
        x, t = values
        shape = b.type(x).shape
        axes = range(len(shape) - 1)
        return (
            b.reduce("sum", _squared, x, t, axes=axes),
            b.reduce("sum", stop_gradient, t, axes=axes),
            b.reduce("sum", lambda u: stop_gradient(u * u), t, axes=axes),
            math.prod(shape[:-1]),
        )

    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        """The mean over the channels."""
        errors, total, squares, count = sums
        assert isinstance(errors, Value) and isinstance(total, Value)
        assert isinstance(squares, Value) and isinstance(count, int)
        spread = b.map(lambda s, q: q - s * s / float(count), total, squares)
        each = b.map(
            lambda e, v: where(v > 0.0, 1.0 - e / where(v > 0.0, v, 1.0), where(eq(e, 0.0), 1.0, 0.0)),
            errors,
            spread,
        )
        return b.mean(each, (0,))

    @override
    def result(self, *sums: Sequence[float]) -> Any:
        errors, total, squares = map(np.asarray, sums[:3])
        spread = squares - total * total / sums[3][0]
        flat = np.where(errors == 0, 1.0, 0.0)
        return float(np.where(spread > 0, 1 - errors / np.where(spread > 0, spread, 1), flat).mean())

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = (a.reshape(-1, a.shape[-1]).astype(np.float64) for a in arrays)
        errors, spread = np.square(x - t).sum(0), np.square(t - t.mean(0)).sum(0)
        return (np.asarray((1 - errors / spread).mean(), arrays[0].dtype),)
