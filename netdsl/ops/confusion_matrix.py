"""`confusion_matrix`: how often each class is answered for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.accumulator import Sum
from netdsl.ops.base import setting
from netdsl.ops.hits import OfClasses, answered
from netdsl.ops.settings import label_number, number
from netdsl.primitives import PrimitiveBuilder, ScatterAdd
from netdsl.scalar import Expr, cast_int, eq, logical_or, where


@dataclass(frozen=True)
class ConfusionMatrix(OfClasses):
    """How often each class is answered, by the label: row i, column j counts samples of class i that are answered j.

    Of one logit the classes are 0 and 1.  scikit-learn and TensorFlow confusion_matrix.
    """

    name: ClassVar[str] = "confusion_matrix"
    threshold: float = setting("of one logit, above it says 1", 0.0, number)
    ignore_index: int | None = setting("label of cells that do not count", None, label_number)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """A square."""
        self.check_pair(types)
        if types[1].dtype == "f32" and types[0].shape[-1] != 1:
            raise ShapeError("confusion_matrix takes one label for each sample", operand=1)
        classes = max(types[0].shape[-1], 2)
        return (TensorType((classes, classes)),)

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """The matrix of the batch, row after row."""
        x, t = values
        classes, shape = max(b.type(x).shape[-1], 2), (*b.type(x).shape[:-1], 1)
        answer, label = answered(b, x, self.threshold), b.reshape(t, shape)
        if b.type(label).dtype == "f32":
            label = b.map(lambda u: cast_int(where(u > 0.5, 1.0, 0.0)), label)

        def place(a: Expr, u: Expr) -> Expr:
            outside = logical_or(u < 0, u > classes - 1)
            if self.ignore_index is not None:
                outside = logical_or(outside, eq(u, self.ignore_index))
            return where(outside, -1, u * classes + a)

        place_of_each = b.reshape(b.map(place, answer, label), (b.type(answer).size,))
        ones = b.map(lambda p: where(eq(p, p), 1.0, 0.0), place_of_each)
        return (b.add1(ScatterAdd(0, classes * classes), ones, place_of_each),)

    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        """The rows."""
        (flat,) = (s for s in sums if isinstance(s, Value))
        classes = round(b.type(flat).size ** 0.5)
        return b.reshape(flat, (classes, classes))

    @override
    def result(self, *sums: Sequence[float]) -> Any:
        classes = round(len(sums[0]) ** 0.5)
        return np.asarray(sums[0]).reshape(classes, classes).tolist()

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = arrays
        classes = max(x.shape[-1], 2)
        flat = x.reshape(-1, x.shape[-1])
        said = (flat[:, 0] > self.threshold).astype(int) if x.shape[-1] == 1 else flat.argmax(-1)
        right = (t > 0.5).astype(int).ravel() if t.dtype.kind == "f" else t.ravel()
        matrix = np.zeros((classes, classes), x.dtype)
        for i, j in zip(right, said, strict=True):
            if i != self.ignore_index:
                matrix[i, j] += 1
        return (matrix,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Rows and maps, one logit, an ignored label, what does not fit."""
        return (
            Sample(cls(), ((20, 3), (20,)), integers={1: 3}, smooth=False),
            Sample(cls(ignore_index=1), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}, smooth=False),
            Sample(cls(), ((7, 1), (7, 1)), smooth=False),
            Sample(cls(), ((6, 3), (6, 3)), error="one label for each sample"),
            Sample(cls(), ((6, 3), (5,)), integers={1: 3}, error="a label for each"),
        )
