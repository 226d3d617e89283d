"""`dice`: the Dice loss, 1 minus the overlap of two maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.accumulator import Sum
from netdsl.ops.base import setting
from netdsl.ops.loss import Loss
from netdsl.ops.settings import positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, sigmoid


@dataclass(frozen=True)
class Dice(Loss):
    """`1 - (2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)` per sample and class, averaged.

    `p = sigmoid(prediction)` over the map; the target has the shape of the prediction.  Milletari et al. 2016, with
    the plain sums of Sorensen and Dice.
    """

    name: ClassVar[str] = "dice"
    smooth: float = setting("added above and below, so that empty maps are no 0 / 0", 1.0, positive_number)

    def check_target(self, prediction: TensorType, target: TensorType) -> None:
        """Maps of the same shape."""
        super().check_target(prediction, target)
        if prediction.rank < 3:
            raise ShapeError(f"dice takes maps, not {prediction.words}", operand=0)

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """Three sums over the map and a quotient, added up; and how many samples and classes there are."""
        x, t = values[:2]
        shape = b.type(x).shape
        over = range(1, len(shape) - 1)
        both = b.reduce("sum", lambda v, u: sigmoid(v) * u, x, t, axes=over)
        sums = b.reduce("sum", lambda v, u: sigmoid(v) + u, x, t, axes=over)

        def element(m: Expr, s: Expr, w: Expr | float = 1.0) -> Expr:
            return w * (1.0 - (2.0 * m + self.smooth) / (s + self.smooth))

        weights = [b.reshape(values[2], (shape[0], 1))] if len(values) == 3 else []
        return b.reduce("sum", element, both, sums, *weights, axes=(0, 1)), shape[0] * shape[-1]

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = arrays[:2]
        p, over = 1 / (1 + np.exp(-x)), tuple(range(1, x.ndim - 1))
        losses = 1 - (2 * (p * t).sum(over) + self.smooth) / ((p + t).sum(over) + self.smooth)
        if len(arrays) == 3:
            losses = losses * arrays[2][:, None]
        return (np.asarray(losses.mean()),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Maps with and without weights; vectors are refused."""
        return (
            Sample(cls(), ((2, 4, 3, 2), (2, 4, 3, 2)), low=0.0, high=1.0),
            Sample(cls(0.1), ((3, 5, 1), (3, 5, 1), (3,)), low=0.0, high=1.0),
            Sample(cls(), ((3, 4), (3, 4)), error="dice takes maps"),
        )
