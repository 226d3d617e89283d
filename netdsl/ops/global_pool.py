"""Pooling over the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean
from netdsl.ops.spatial import spatial_rank
from netdsl.primitives import PrimitiveBuilder


@dataclass(frozen=True)
class _GlobalPool(LibraryOp):
    kind: ClassVar[str] = ""
    keep: bool = setting("keep the spatial axes with size 1", False, boolean)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[C]`, or `[1, ..., C]` when the axes are kept."""
        (x,) = types
        dims = spatial_rank(self.name, x)
        middle = (1,) * dims if self.keep else ()
        return (TensorType((x.shape[0], *middle, x.shape[-1])),)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        function = {"mean": b.mean, "max": b.max}[self.kind]
        return (function(x, range(1, b.type(x).rank - 1), keepdims=self.keep),)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """A reduction, which needs no transpose."""
        axes = m.const(range(1, types[0].rank - 1))
        return (m.node(f"Reduce{self.kind.capitalize()}", names[0], axes, keepdims=int(self.keep)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        return (getattr(np, self.kind)(x, tuple(range(1, x.ndim - 1)), keepdims=self.keep),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """The whole map, also where it has one cell."""

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [
            f"the spatial axes {list(types[0].shape[1:-1])} become one cell, channels stay {result.shape[-1]}"
        ]

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """1-D to 3-D, kept or not, no spatial axis refused."""
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls(keep=True), ((2, 3, 4, 9),)),
            Sample(cls(), ((1, 6, 2),)),
            Sample(cls(keep=True), ((1, 2, 3, 2, 3),)),
            Sample(cls(), ((2, 5),), error="1 to 3 spatial axes"),
        )


@dataclass(frozen=True)
class GlobalAvgPool(_GlobalPool):
    """The average of each channel over the whole map.  Lin et al., "Network in Network", 2013."""

    name: ClassVar[str] = "global_avg_pool"
    kind: ClassVar[str] = "mean"


@dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel over the whole map."""

    name: ClassVar[str] = "global_max_pool"
    kind: ClassVar[str] = "max"
