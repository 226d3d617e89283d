"""`argmax`: where the largest element is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.axes import place_of
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, integer
from netdsl.ops.spatial import axis_name
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, eq, logical_or, ne, where


@dataclass(frozen=True)
class ArgMax(LibraryOp):
    """The index of the largest element along an axis, of equal ones the lowest; of the first NaN where there is one.

    Indices have no gradient.  NumPy argmax, ONNX ArgMax.
    """

    name: ClassVar[str] = "argmax"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    axis: int = setting("axis of the shape without the batch; -1 is the channels", -1, integer)
    keepdims: bool = setting("keep the axis with size 1", False, boolean)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Indices, without the axis or with 1 in its place."""
        (x,) = types
        self.check_numbers(x)
        at = place_of(self.axis, x.rank)
        return (TensorType((*x.shape[:at], *(1,) * self.keepdims, *x.shape[at + 1 :]), "i64"),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The lowest index at which the maximum is attained."""
        (x,) = values
        shape = b.type(x).shape
        at = place_of(self.axis, len(shape))

        def attained(v: Expr, largest: Expr) -> Expr:
            return where(logical_or(eq(v, largest), ne(v, v)), Index(at), shape[at])

        largest = b.max(x, (at,), keepdims=True)
        return (b.reduce("min", attained, x, largest, axes=(at,), keepdims=self.keepdims),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        shape = types[0].shape
        at = place_of(self.axis, len(shape))
        kept = "1 in its place" if self.keepdims else "gone"
        return [f"{axis_name(at, len(shape))} {shape[at]}: index of the largest, {kept}"]

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """Everything, unless the channels are searched and kept."""
        alone = self.keepdims and place_of(self.axis, result.rank) == result.rank - 1
        return super().reach(types, result) if alone else None

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        at = place_of(self.axis, types[0].rank)
        return (m.node("ArgMax", *names, axis=at, keepdims=int(self.keepdims)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        return (np.asarray(np.argmax(x, place_of(self.axis, x.ndim), keepdims=self.keepdims)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and rows, kept or not, ties, an axis that is not there."""
        return (
            Sample(cls(), ((3, 10),), smooth=False),
            Sample(cls(), ((2, 3, 4, 5),), smooth=False),
            Sample(cls(0), ((2, 7, 4, 3),), smooth=False),
            Sample(cls(keepdims=True), ((2, 3, 4, 17),), smooth=False),
            Sample(cls(1), ((2, 3, 5),), low=0.5, high=0.5, smooth=False),
            Sample(cls(3), ((2, 3, 4, 5),), error="there is no axis 3"),
            Sample(cls(), ((2, 3),), integers={0: 4}, error="argmax takes numbers, not labels [3]"),
        )
