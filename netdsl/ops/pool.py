"""Pooling: the largest or the average over windows, or over the whole map."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ir.op import Array
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean
from netdsl.ops.spatial import (
    PAD_DOC,
    explain_windows,
    padding,
    per_axis,
    resolve_pads,
    sizes,
    spatial_rank,
    windows,
)
from netdsl.primitives import PrimitiveBuilder, Window


@dataclass(frozen=True)
class _Pool(LibraryOp):
    kind: ClassVar[str] = "max"
    positional: ClassVar[tuple[str, ...]] = ("size",)

    size: int | tuple[int, ...] = setting("size of the window, or one per axis", check=sizes)
    stride: int | tuple[int, ...] | None = setting("step between windows; default: their size", None, sizes)
    pad: Any = setting(PAD_DOC, "valid", padding)
    ceil: bool = setting("round output sizes up (PyTorch's ceil_mode)", False, boolean)

    def window(self, x: TensorType) -> Window:
        """The primitive for an input of this type."""
        dims = spatial_rank(self.name, x)
        size = per_axis("size", self.size, dims)
        stride = per_axis("stride", self.size if self.stride is None else self.stride, dims)
        ones = (1,) * dims
        pads = resolve_pads(self.pad, x.shape[1:-1], size, stride, ones)
        if any(lo >= k or hi >= k for (lo, hi), k in zip(pads, size, strict=True)):
            raise ShapeError("a window could lie in the padding alone: pad must be below size", setting="pad")
        over = tuple(
            self._overhang(n, k, s, lo, hi)
            for n, k, s, (lo, hi) in zip(x.shape[1:-1], size, stride, pads, strict=True)
        )
        return Window(self.kind, size, stride, pads, ones, over, self._include_pad())

    def _include_pad(self) -> bool:
        return True

    def _overhang(self, size: int, window: int, stride: int, lo: int, hi: int) -> int:
        """Cells past the padding that the last window covers; it must start inside the input or left pad."""
        room = size + lo + hi - window
        if not self.ceil or room < 0:
            return 0
        last = -(-room // stride) * stride
        if last >= size + lo:
            last -= stride
        return max(0, last - room)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many windows as fit; the channels stay."""
        (x,) = types
        try:
            return self.window(x).infer(x)
        except ShapeError as error:
            if error.operand is None or x.rank < 3:
                raise
            message = f"a window of {self.size} does not fit into {list(x.shape[1:])}"
            raise ShapeError(message, operand=0) from None

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One primitive."""
        (x,) = values
        return (b.add1(self.window(b.type(x)), x),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The window."""
        op = self.window(types[0])
        return windows(op.size, op.stride, op.dilation, op.pad)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The formula of windows."""
        op, x = self.window(types[0]), types[0]
        spatial = x.shape[1:-1], op.size, op.stride, op.dilation, op.pad, result.shape[1:-1], op.overhang
        return explain_windows(*spatial)

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """One operation per cell of each window."""
        return self.infer(*types)[0].size * math.prod(self.window(types[0]).size)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`MaxPool` or `AveragePool` between transposes.

        Cells past the padding are more padding there, since ONNX' own rounding up differs from PyTorch's; None
        where they would count in an average.
        """
        window, rank = self.window(types[0]), types[0].rank
        average = {"count_include_pad": int(window.include_pad)} if self.kind == "avg" else {}
        if self.kind == "avg" and window.include_pad and any(window.overhang):
            return None
        ends = [hi + over for (_, hi), over in zip(window.pad, window.overhang, strict=True)]
        y = m.node(
            "AveragePool" if self.kind == "avg" else "MaxPool",
            m.channels_first(names[0], rank),
            kernel_shape=window.size,
            strides=window.stride,
            pads=[*(lo for lo, _ in window.pad), *ends],
            **average,
        )
        return (m.channels_last(y, rank),)

    def _windows(self, x: Array, fill: float) -> tuple[Array, list[tuple[tuple[Any, ...], Array]]]:
        """The empty result, and each window's cells with the place they belong to (overhang cut away)."""
        op = self.window(TensorType(x.shape))
        out = op.out_size(x.shape[1:-1])
        padded = np.pad(x, ((0, 0), *op.pad, (0, 0)), constant_values=fill)
        cells = []
        for at in itertools.product(*map(range, out)):
            cut = tuple(slice(o * s, o * s + k) for o, s, k in zip(at, op.stride, op.size, strict=True))
            cells.append(((slice(None), *at), padded[(slice(None), *cut)].reshape(len(x), -1, x.shape[-1])))
        return np.zeros((len(x), *out, x.shape[-1]), x.dtype), cells

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """1-D to 3-D, overlapping, padded, rounded up, windows that do not fit."""
        return (
            Sample(cls(2), ((2, 6, 4, 3),)),
            Sample(cls(2), ((1, 5, 7, 17),)),
            Sample(cls(3, stride=2, pad=1), ((1, 7, 6, 2),)),
            Sample(cls(3, stride=2, ceil=True), ((2, 6, 5, 2),)),
            Sample(cls(3, stride=2, pad=1, ceil=True), ((1, 6, 6, 9),)),
            Sample(cls(3, stride=1, pad="same"), ((1, 4, 5, 2),)),
            Sample(cls((3, 2), stride=(1, 2)), ((1, 5, 6, 2),)),
            Sample(cls(3, stride=2), ((2, 9, 3),)),
            Sample(cls(2, stride=1), ((1, 3, 3, 4, 2),)),
            Sample(cls(8), ((1, 4, 4, 2),), error="does not fit into [4, 4, 2]"),
            Sample(cls(2, pad=2), ((1, 4, 4, 2),), error="pad must be below size"),
        )


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest value of each window, per channel.  Padding never wins.

    Keras MaxPooling, PyTorch MaxPool, ONNX MaxPool.
    """

    name: ClassVar[str] = "max_pool"

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition, one window at a time."""
        y, cells = self._windows(arrays[0], -np.inf)
        for at, cell in cells:
            y[at] = cell.max(1)
        return (y,)


@dataclass(frozen=True)
class AvgPool(_Pool):
    """The average of each window, per channel.

    `include_pad` counts padding cells in the divisor, PyTorch's default (count_include_pad); Keras and ONNX do
    not count them by default.  Cells past the padding that `ceil` reaches never count.
    """

    name: ClassVar[str] = "avg_pool"
    kind: ClassVar[str] = "avg"
    include_pad: bool = setting("count the padding in the divisor", True, boolean)

    def _include_pad(self) -> bool:
        return self.include_pad

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition, one window at a time; NaN marks the padding that does not count."""
        y, cells = self._windows(arrays[0], 0.0 if self.include_pad else np.nan)
        for at, cell in cells:
            y[at] = np.nanmean(cell, 1)
        return (y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Those of all pools, and the other divisor."""
        return (*super().samples(), Sample(cls(3, stride=2, pad=1, include_pad=False), ((1, 5, 6, 3),)))


@dataclass(frozen=True)
class _GlobalPool(LibraryOp):
    keep: bool = setting("keep the spatial axes with size 1", False, boolean)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[C]`, or `[1, ..., C]` when the axes are kept."""
        (x,) = types
        dims = spatial_rank(self.name, x)
        middle = (1,) * dims if self.keep else ()
        return (TensorType((x.shape[0], *middle, x.shape[-1])),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """The whole map, also where it has one cell."""

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The spatial axes go."""
        return [
            f"the spatial axes {list(types[0].shape[1:-1])} become one cell, {result.shape[-1]} channels stay"
        ]

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """One operation per input element."""
        return types[0].size

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

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A mean."""
        (x,) = values
        return (b.mean(x, range(1, b.type(x).rank - 1), keepdims=self.keep),)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`ReduceMean`, which needs no transpose."""
        axes = m.const(range(1, types[0].rank - 1))
        return (m.node("ReduceMean", names[0], axes, keepdims=int(self.keep)),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.mean`."""
        (x,) = arrays
        return (x.mean(tuple(range(1, x.ndim - 1)), keepdims=self.keep),)


@dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel over the whole map."""

    name: ClassVar[str] = "global_max_pool"

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A maximum."""
        (x,) = values
        return (b.max(x, range(1, b.type(x).rank - 1), keepdims=self.keep),)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`ReduceMax`, which needs no transpose."""
        axes = m.const(range(1, types[0].rank - 1))
        return (m.node("ReduceMax", names[0], axes, keepdims=int(self.keep)),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.max`."""
        (x,) = arrays
        return (x.max(tuple(range(1, x.ndim - 1)), keepdims=self.keep),)
