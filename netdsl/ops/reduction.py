"""Sums, means and extremes over axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.axes import axes_setting, resolve_axes
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean
from netdsl.ops.spatial import axis_name
from netdsl.primitives import PrimitiveBuilder


@dataclass(frozen=True)
class _Reduction(LibraryOp):
    positional: ClassVar[tuple[str, ...]] = ("axes",)
    axes: tuple[int, ...] | None = setting(
        "axes of the shape without the batch, -1 is the channels; default: all", None, axes_setting
    )
    keepdims: bool = setting("keep the axes with size 1", False, boolean)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Without the axes, or with 1 in their place."""
        (x,) = types
        self.check_numbers(x)
        over = resolve_axes(self.axes, x.rank)
        kept = [(1 if a in over else n) for a, n in enumerate(x.shape) if self.keepdims or a not in over]
        return (TensorType(tuple(kept)),)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        function = {"sum": b.sum, "mean": b.mean, "max": b.max}[self.name.removeprefix("reduce_")]
        return (function(x, resolve_axes(self.axes, b.type(x).rank), self.keepdims),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        shape = types[0].shape
        over = [f"{axis_name(a, len(shape))} {shape[a]}" for a in resolve_axes(self.axes, len(shape))]
        word = {"sum": "summed", "mean": "averaged", "max": "maximum"}[self.name.removeprefix("reduce_")]
        return [f"{', '.join(over)}: {word} over, {'1 in the place of each' if self.keepdims else 'gone'}"]

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Any, ...] | None:
        """Everything, unless only the channels are reduced and kept."""
        alone = self.keepdims and resolve_axes(self.axes, types[0].rank) == (types[0].rank - 1,)
        return super().reach(types, result) if alone else None

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        op_type = "".join(word.capitalize() for word in self.name.split("_"))
        axes = m.const(resolve_axes(self.axes, types[0].rank))
        return (m.node(op_type, *names, axes, keepdims=int(self.keepdims)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        function = getattr(np, self.name.removeprefix("reduce_"))
        return (np.asarray(function(x, axis=resolve_axes(self.axes, x.ndim), keepdims=self.keepdims)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """All axes, one, several, kept or not, axes that are not there."""
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls((-1,)), ((2, 3, 4, 5),)),
            Sample(cls((0, 1), keepdims=True), ((2, 3, 4, 9),)),
            Sample(cls((1,)), ((2, 7, 3),)),
            Sample(cls((-1,), keepdims=True), ((2, 3, 3, 4),)),
            Sample(cls((3,)), ((2, 3, 4, 5),), error="are not different axes"),
        )


@dataclass(frozen=True)
class ReduceSum(_Reduction):
    """The sum over axes.  ONNX ReduceSum."""

    name: ClassVar[str] = "reduce_sum"


@dataclass(frozen=True)
class ReduceMean(_Reduction):
    """The mean over axes.  ONNX ReduceMean."""

    name: ClassVar[str] = "reduce_mean"


@dataclass(frozen=True)
class ReduceMax(_Reduction):
    """The largest over axes.  ONNX ReduceMax."""

    name: ClassVar[str] = "reduce_max"
