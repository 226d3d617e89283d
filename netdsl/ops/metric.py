"""Metrics: what is reported beside the loss."""

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
from netdsl.ops.settings import label_number, positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, as_expr, cast_float, eq, logical_and, logical_or, where


@dataclass(frozen=True)
class TopKAccuracy(Mean):
    """The share of samples whose label is among the `k` largest predictions; ties go to the lower class.

    Keras SparseTopKCategoricalAccuracy.
    """

    name: ClassVar[str] = "top_k_accuracy"
    operands: ClassVar[int | None] = 2
    larger_is_better: ClassVar[bool] = True
    has_gradient: ClassVar[bool] = False
    positional: ClassVar[tuple[str, ...]] = ("k",)
    k: int = setting("how many guesses count", 5, positive)
    ignore_index: int | None = setting("label of cells that do not count", None, label_number)

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """Labels."""
        return TensorType(prediction.shape[:-1], "i64")

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if types[0].rank >= 2 and types[0].shape[-1] == 1:
            message = f"{self.name} chooses among classes; of one logit it is always 1"
            raise ShapeError(
                message, operand=0, hint="binary_accuracy says on which side of a threshold it is"
            )
        if len(types) != 2 or types[0].rank < 2 or types[1] != self.target(types[0]):
            message = f"{self.name} takes predictions [..., classes] and a label for each"
            swapped = types[0].dtype == "i64" or types[0].rank < types[-1].rank
            hint = "the predictions come first, then the label" if swapped else None
            raise ShapeError(message, operand=1, hint=hint)
        if self.k > types[0].shape[-1]:
            message = f"k = {self.k} guesses of {types[0].shape[-1]} classes are all of them: it is always 1"
            raise ShapeError(message, setting="k")
        return (TensorType(()),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return ["one number for the whole batch"]

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """The hits: labels before which fewer than `k` classes rank; and how many labels count."""
        x = values[0]
        shape = b.type(x).shape
        axis = len(shape) - 1
        label = b.reshape(values[1], (*shape[:-1], 1))
        picked = b.reduce(
            "sum", lambda v, t: where(eq(Index(axis), t), v, 0.0), x, label, axes=(-1,), keepdims=True
        )

        def before(v: Expr, t: Expr, p: Expr) -> Expr:
            return cast_float(logical_or(v > p, logical_and(eq(v, p), Index(axis) < t)))

        rank = b.reduce("sum", before, x, label, picked, axes=(-1,), keepdims=True)

        def hit(r: Expr, p: Expr, t: Expr) -> Expr:
            # A NaN is before nothing, and must not count as a hit.
            return self._counted(t, where(logical_and(r < float(self.k), eq(p, p)), 1, 0))

        hits = b.reduce("sum", hit, rank, picked, label, axes=range(len(shape)))
        if self.ignore_index is None:
            return hits, math.prod(shape[:-1])
        return hits, b.reduce("sum", lambda t: self._counted(t, as_expr(1)), label, axes=range(len(shape)))

    def _counted(self, t: Expr, value: Expr) -> Expr:
        """The value, or 0 where the label says that the cell does not count."""
        return value if self.ignore_index is None else where(eq(t, self.ignore_index), 0, value)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """By a stable sort."""
        x, label = arrays
        best = np.argsort(-x, axis=-1, kind="stable")[..., : self.k]
        hits = (best == label[..., None]).any(-1)
        counted = hits if self.ignore_index is None else hits[label != self.ignore_index]
        return (np.asarray(counted.mean() if counted.size else 0.0, x.dtype),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Rows and maps; labels of another shape refused."""
        return (
            Sample(cls(), ((6, 10), (6,)), integers={1: 10}, smooth=False),
            Sample(cls(3), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}, smooth=False),
            Sample(cls(11), ((6, 10), (6,)), integers={1: 10}, error="it is always 1"),
            Sample(cls(1, 2), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}, smooth=False),
            Sample(cls(ignore_index=0), ((6, 10), (6,)), integers={1: 1}, smooth=False),
            Sample(cls(), ((6, 10), (5,)), integers={1: 10}, error="a label for each"),
            Sample(cls(), ((6, 1), (6,)), integers={1: 1}, error="of one logit it is always 1"),
        )


@dataclass(frozen=True)
class Accuracy(TopKAccuracy):
    """The share of samples whose label has the largest prediction; ties go to the lower class."""

    name: ClassVar[str] = "accuracy"
    positional: ClassVar[tuple[str, ...]] = ()
    k: int = setting("how many guesses count", 1, positive)
