"""`one_hot`: labels as rows of shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Index, eq, where
from netdsl.source import counted


@dataclass(frozen=True)
class OneHot(LibraryOp):
    """1 at the place of the label, 0 elsewhere: labels `[...] -> [..., classes]`.

    A label below 0 or beyond the classes gives zeros.  For losses that compare numbers: `mse(p, one_hot(label, 10))`.
    Keras and PyTorch one_hot, ONNX OneHot.
    """

    name: ClassVar[str] = "one_hot"
    positional: ClassVar[tuple[str, ...]] = ("classes",)
    takes_labels: ClassVar[bool] = True
    classes: int = setting("number of classes", check=positive)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        if x.dtype != "i64":
            raise ShapeError(f"one_hot takes labels, not {x.words}", operand=0)
        return (TensorType((*x.shape, self.classes)),)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        shape = b.type(x).shape
        hit = where(eq(Index(len(shape)), Arg(0)), 1.0, 0.0)
        return (b.map_expr(hit, b.reshape(x, (*shape, 1)), shape=(*shape, self.classes)),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [f"channels: {counted(self.classes, 'class')}, as set"]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`Equal` to the numbers of the classes: `OneHot` counts labels below 0 from the end."""
        labels = m.node("Unsqueeze", names[0], m.const((-1,)))
        hit = m.node("Equal", labels, m.const(range(self.classes)))
        return (m.node("Where", hit, m.const(np.array(1.0)), m.const(np.array(0.0))),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return ((arrays[0][..., None] == np.arange(self.classes)).astype(np.float64),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Labels of samples and of cells, labels out of range, numbers."""
        return (
            Sample(cls(4), ((5,),), integers={0: 4}),
            Sample(cls(3), ((2, 3, 4),), integers={0: 5}),
            Sample(cls(3), ((2, 3),), error="one_hot takes labels"),
        )
