"""What metrics of classes count: the answers of predictions beside the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import ShapeError, TensorType, Value
from netdsl.ops.accumulator import Accumulator, Sum
from netdsl.ops.argmax import ArgMax
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Expr, Index, eq, logical_and, ne, where

Masks = tuple[Array, Array]


@dataclass(frozen=True)
class OfClasses(Accumulator):
    """Base of metrics that compare predictions `[..., classes]` with labels, or answers of yes and no with 0 and 1.

    With labels (i64 `[...]`) the largest prediction is the answer, ties go to the lower class.  With targets in the
    shape of the predictions each is an answer by itself: yes where it is above a threshold, right where the target is
    above a half.
    """

    operands: ClassVar[int | None] = 2
    larger_is_better: ClassVar[bool] = True
    has_gradient: ClassVar[bool] = False

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """Labels; of one prediction zeros and ones."""
        one = prediction.shape[-1:] == (1,)
        return prediction if one else TensorType(prediction.shape[:-1], "i64")

    def check_pair(self, types: Sequence[TensorType]) -> None:
        """Raise ShapeError unless the target belongs to the prediction."""
        x, t = types[0], types[-1]
        fits = x.rank >= 2 and x.dtype == "f32" and t in (x, TensorType(x.shape[:-1], "i64"))
        if len(types) != 2 or not fits or (t.dtype == "i64" and x.shape[-1] == 1):
            message = f"{self.name} takes predictions [..., classes] and a label for each, or 0 and 1 for all of them"
            hint = (
                "the predictions come first, then the label" if x.dtype == "i64" or x.rank < t.rank else None
            )
            raise ShapeError(message, operand=1, hint=hint)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        whole = "one number" if not result.shape else f"{list(result.shape)}, by class,"
        return [f"{whole} for the whole batch"]


def answered(b: PrimitiveBuilder, x: Value, threshold: float) -> Value:
    """The class that each prediction answers, i64 `[..., 1]`; of one prediction 1 or 0."""
    if b.type(x).shape[-1] == 1:
        return b.map(lambda v: where(v > threshold, 1, 0), x)
    (found,) = ArgMax(keepdims=True).expand(b, x)
    return found


def counts(
    b: PrimitiveBuilder, x: Value, t: Value, threshold: float, ignored: int | None
) -> tuple[Sum, Sum, Sum]:
    """Of each class, i64 `[classes]`: how often it was answered rightly, answered, and right."""
    shape = b.type(x).shape
    axis, axes = len(shape) - 1, tuple(range(len(shape) - 1))
    if b.type(t).dtype == "f32":

        def both(v: Expr, u: Expr) -> Expr:
            return where(logical_and(v > threshold, u > 0.5), 1, 0)

        yes = b.reduce("sum", lambda v: where(v > threshold, 1, 0), x, axes=axes)
        right = b.reduce("sum", lambda u: where(u > 0.5, 1, 0), t, axes=axes)
        return b.reduce("sum", both, x, t, axes=axes), yes, right
    answer, label = answered(b, x, threshold), b.reshape(t, (*shape[:-1], 1))

    a, u, here = Arg(0), Arg(1), Index(axis)

    def summed(which: Expr) -> Value:
        counted = which if ignored is None else logical_and(which, ne(u, ignored))
        return b.reduce_expr("sum", where(counted, 1, 0), answer, label, axes=axes, shape=shape)

    return summed(logical_and(eq(a, here), eq(u, here))), summed(eq(a, here)), summed(eq(u, here))


def masks(x: Array, t: Array, threshold: float, ignored: int | None) -> Masks:
    """In NumPy: answers and targets as booleans `[cells, classes]`."""
    classes = x.shape[-1]
    if t.dtype.kind == "f":
        return (x > threshold).reshape(-1, classes), (t > 0.5).reshape(-1, classes)
    flat, label = x.reshape(-1, classes), t.reshape(-1)
    kept = np.ones(len(label), bool) if ignored is None else label != ignored
    every = np.arange(classes)
    return flat.argmax(-1)[kept, None] == every, label[kept, None] == every
