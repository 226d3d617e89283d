"""Pooling over windows: what all pools share, and the largest and the average of each window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.axes import axes_setting, place_of, resolve_axes
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean
from netdsl.ops.spatial import (
    PAD_DOC,
    axis_name,
    explain_windows,
    padding,
    per_axis,
    resolve_pads,
    sizes,
    spatial_rank,
    windows,
)
from netdsl.primitives import PrimitiveBuilder, ReduceWindow
from netdsl.source import counted


@dataclass(frozen=True)
class Pool(LibraryOp):
    """Base of pools over windows.

    The windows run over the spatial axes, or over any one to three others: these are moved to the place of the
    spatial axes, all that are left to the place of the channels, and back.
    """

    kind: ClassVar[str] = "avg"
    positional: ClassVar[tuple[str, ...]] = ("size",)

    size: int | tuple[int, ...] = setting("size of the window, or one per axis", check=sizes)
    stride: int | tuple[int, ...] | None = setting("step between windows; default: their size", None, sizes)
    pad: Any = setting(PAD_DOC, "valid", padding)
    ceil: bool = setting("round output sizes up (PyTorch's ceil_mode)", False, boolean)
    dilation: int | tuple[int, ...] = setting("step between cells of a window, or one per axis", 1, sizes)
    axes: tuple[int, ...] | None = setting(
        "axes that windows run over, -1 is the channels; default: the spatial ones", None, axes_setting
    )

    def pooled(self, b: PrimitiveBuilder, x: Value, window: ReduceWindow) -> Value:
        """The result for a map `[N, *S, C]`."""
        return b.add1(window, x)

    def onnx_pooled(self, m: OnnxBuilder, x: str, window: ReduceWindow) -> str | None:
        """The result for a map `[N, C, *S]` in ONNX nodes; None where ONNX has no such op."""
        raise NotImplementedError(f"{self.name} has no ONNX form")

    def reference_cells(self, cells: Array) -> Array:
        """The definition for the cells of a window, `[N, cells, C] -> [N, C]`; NaN stands for what does not count."""
        raise NotImplementedError(f"{self.name} has no reference")

    def window(self, x: TensorType) -> ReduceWindow:
        """The primitive for an input of this type."""
        spatial = self._view(x).shape[1:-1]
        dims = len(spatial)
        size = per_axis("size", self.size, dims)
        stride = per_axis("stride", self.size if self.stride is None else self.stride, dims)
        dilation = per_axis("dilation", self.dilation, dims)
        pads = resolve_pads(self.pad, spatial, size, stride, dilation)
        over = []
        for n, k, s, d, (lo, hi) in zip(spatial, size, stride, dilation, pads, strict=True):
            past = self._overhang(n, (k - 1) * d + 1, s, lo, hi)
            _check_inside(n, k, s, d, (lo, hi + past))
            over.append(past)
        return ReduceWindow(self.kind, size, stride, pads, dilation, tuple(over), self._include_pad())

    def _include_pad(self) -> bool:
        return False

    def _overhang(self, size: int, extent: int, stride: int, lo: int, hi: int) -> int:
        """Cells past the padding that the last window covers; it must start inside the input or left pad."""
        room = size + lo + hi - extent
        if not self.ceil:
            return 0
        last = -(-room // stride) * stride
        if last >= size + lo:
            last -= stride
        return max(0, last - room)

    def _over(self, x: TensorType) -> tuple[int, ...]:
        """The axes that windows run over, as written."""
        if self.axes is None:
            return tuple(range(1, 1 + spatial_rank(self.name, x)))
        if len(resolve_axes(self.axes, x.rank)) > 3 or x.dtype != "f32":
            raise ShapeError(f"{self.name} runs over 1 to 3 axes of numbers, not of {x}", setting="axes")
        return tuple(place_of(a, x.rank) for a in self.axes)

    def _order(self, x: TensorType) -> tuple[int, ...]:
        """The batch, the axes that windows run over, the others."""
        over = self._over(x)
        return (0, *over, *(a for a in range(1, x.rank) if a not in over))

    def _view(self, x: TensorType) -> TensorType:
        """The operand as a map of the axes that windows run over."""
        over = self._over(x)
        others = math.prod(x.shape[a] for a in self._order(x)[1 + len(over) :])
        return TensorType((x.shape[0], *(x.shape[a] for a in over), others))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many windows as fit; the other axes stay."""
        (x,) = types
        window = self.window(x)
        try:
            out = window.out_size(self._view(x).shape[1:-1])
        except ShapeError:
            apart = f" with dilation {self.dilation}" if self.dilation != 1 else ""
            message = f"a window of {self.size}{apart} does not fit into {list(x.shape[1:])}"
            raise ShapeError(message, operand=0) from None
        found = dict(zip(self._over(x), out, strict=True))
        return (TensorType(tuple(found.get(a, n) for a, n in enumerate(x.shape))),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Windows over a map, between transposes where the axes are not the spatial ones."""
        (x,) = values
        t = b.type(x)
        (result,), order = self.infer(t), self._order(t)
        y = self.pooled(b, b.reshape(b.transpose(x, order), self._view(t).shape), self.window(t))
        moved = b.reshape(y, [result.shape[a] for a in order])
        return (b.transpose(moved, _undone(order)),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The window along the axes it runs over, the cell itself along others."""
        op, (x,) = self.window(types[0]), types
        found = dict(zip(self._over(x), windows(op.size, op.stride, op.dilation, op.pad), strict=True))
        return tuple(found.get(a, Reach()) for a in range(1, x.rank - 1))

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        op, (x,) = self.window(types[0]), types
        over = self._over(x)
        names = [axis_name(a, x.rank) for a in over]
        size, out = ([shape[a] for a in over] for shape in (x.shape, result.shape))
        return explain_windows(size, op.size, op.stride, op.dilation, op.pad, out, op.overhang, names)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """The pool between transposes, and reshapes where it does not run over the spatial axes."""
        (t,), (result,) = types, self.infer(*types)
        over = self._over(t)
        order = (0, *self._order(t)[1 + len(over) :], *over)
        view, x = self._view(t).shape, m.transpose(names[0], order)
        if self.axes is not None:
            x = m.node("Reshape", x, m.const((view[0], view[-1], *view[1:-1])))
        y = self.onnx_pooled(m, x, self.window(t))
        if y is None:
            return None
        if self.axes is not None:
            y = m.node("Reshape", y, m.const([result.shape[a] for a in order]))
        return (m.transpose(y, _undone(order)),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition, one window at a time."""
        (x,) = arrays
        over, op = self._over(TensorType(x.shape)), self.window(TensorType(x.shape))
        places = range(1, 1 + len(over))
        front = np.moveaxis(x, over, places)
        spatial, others = front.shape[1 : 1 + len(over)], front.shape[1 + len(over) :]
        flat = front.reshape(len(x), *spatial, -1)
        flat = np.pad(flat, ((0, 0), *op.pad, (0, 0)), constant_values=0.0 if self._include_pad() else np.nan)
        ends = ((0, past) for past in op.overhang)
        flat = np.pad(flat, ((0, 0), *ends, (0, 0)), constant_values=np.nan)
        y = np.zeros((len(x), *op.out_size(spatial), flat.shape[-1]), x.dtype)
        for at in itertools.product(*map(range, y.shape[1:-1])):
            axes = zip(at, op.stride, op.size, op.dilation, strict=True)
            cut = tuple(slice(o * s, o * s + (k - 1) * d + 1, d) for o, s, k, d in axes)
            cells = flat[(slice(None), *cut)].reshape(len(x), -1, flat.shape[-1])
            place: tuple[Any, ...] = (slice(None), *at)
            y[place] = self.reference_cells(cells)
        return (np.moveaxis(y.reshape(*y.shape[:-1], *others), places, over),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """1-D to 3-D, overlapping, padded, rounded up, dilated, over other axes, windows that do not fit."""
        return (
            Sample(cls(2), ((2, 6, 4, 3),)),
            Sample(cls(2), ((1, 5, 7, 17),)),
            Sample(cls(3, stride=2, pad=1), ((1, 7, 6, 2),)),
            Sample(cls(3, stride=2, ceil=True), ((2, 6, 5, 2),)),
            Sample(cls(3, stride=2, pad=1, ceil=True), ((1, 6, 6, 9),)),
            Sample(cls(3, stride=2, ceil=True), ((1, 2, 2, 3),)),
            Sample(cls(2, dilation=4, pad=2), ((1, 3, 3, 2),)),
            Sample(cls(3, stride=1, pad="same"), ((1, 4, 5, 2),)),
            Sample(cls((3, 2), stride=(1, 2)), ((1, 5, 6, 2),)),
            Sample(cls(3, stride=2), ((2, 9, 3),)),
            Sample(cls(2, stride=1), ((1, 3, 3, 4, 2),)),
            Sample(cls(3, stride=2, pad=2, dilation=2), ((1, 7, 8, 3),)),
            Sample(cls((2, 3), 2, dilation=(3, 1), ceil=True), ((1, 7, 6, 2),)),
            Sample(cls(2, axes=(-1,)), ((2, 3, 4, 6),)),
            Sample(cls(3, stride=2, pad=1, axes=(0,)), ((2, 5),)),
            Sample(cls((2, 3), stride=1, axes=(2, 0)), ((1, 4, 3, 5),)),
            Sample(cls(3, dilation=2), ((1, 4, 4, 2),), error="a window of 3 with dilation 2 does not fit"),
            Sample(cls(8), ((1, 4, 4, 2),), error="does not fit into [4, 4, 2]"),
            Sample(cls(2, pad=2), ((1, 4, 4, 2),), error="pad must be below 2"),
            Sample(cls(2, 1, dilation=4, pad=2), ((1, 3, 3, 2),), error="dilation 4 steps over all 3 cells"),
            Sample(cls(2, axes=(3,)), ((1, 4, 4, 2),), error="are not different axes"),
            Sample(cls(2, axes=(0, 1, 2, 3)), ((1, 4, 4, 4, 4),), error="runs over 1 to 3 axes"),
        )


@dataclass(frozen=True)
class MaxPool(Pool):
    """The largest value of each window, per channel.  Padding never wins.

    Keras MaxPooling, PyTorch MaxPool, ONNX MaxPool.  Over `axes = -1` it is a maximum over neighbouring channels,
    Maxout's, Goodfellow et al. 2013.
    """

    name: ClassVar[str] = "max_pool"
    kind: ClassVar[str] = "max"

    @override
    def onnx_pooled(self, m: OnnxBuilder, x: str, window: ReduceWindow) -> str:
        return m.node("MaxPool", x, **onnx_windows(window))

    @override
    def reference_cells(self, cells: Array) -> Array:
        return np.asarray(np.nanmax(cells, 1))


@dataclass(frozen=True)
class AvgPool(Pool):
    """The average of each window, per channel.

    `include_pad` counts padding cells in the divisor, PyTorch's default (count_include_pad); Keras and ONNX do
    not count them by default.  Cells past the padding that `ceil` reaches never count.
    """

    name: ClassVar[str] = "avg_pool"
    include_pad: bool = setting("count the padding in the divisor", True, boolean)

    def _include_pad(self) -> bool:
        return self.include_pad

    def onnx_pooled(self, m: OnnxBuilder, x: str, window: ReduceWindow) -> str | None:
        """`AveragePool`; it has no cells past the padding that would not count where the padding does."""
        if window.include_pad and any(window.overhang):
            return None
        return m.node("AveragePool", x, count_include_pad=int(window.include_pad), **onnx_windows(window))

    @override
    def reference_cells(self, cells: Array) -> Array:
        return np.asarray(np.nanmean(cells, 1))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Those of all pools, and the other divisor."""
        return (*super().samples(), Sample(cls(3, stride=2, pad=1, include_pad=False), ((1, 5, 6, 3),)))


def onnx_windows(window: ReduceWindow) -> dict[str, Sequence[int]]:
    """The geometry as ONNX' attributes.

    Cells past the padding are more padding there, since ONNX' own rounding up differs from PyTorch's.
    """
    ends = [hi + over for (_, hi), over in zip(window.pad, window.overhang, strict=True)]
    return {
        "kernel_shape": window.size,
        "strides": window.stride,
        "dilations": window.dilation,
        "pads": [*(lo for lo, _ in window.pad), *ends],
    }


def _check_inside(size: int, window: int, stride: int, dilation: int, pad: tuple[int, int]) -> None:
    """Raise ShapeError where a window along an axis has no cell inside: it would have no largest one."""
    lo, hi = pad
    extent = (window - 1) * dilation + 1
    last = (size + lo + hi - extent) // stride * stride - lo
    # Windows that begin in the padding go on inside with the first tap that is not before it.
    starts = range(-lo, min(0, last + 1), stride)
    if last < size and all(start % dilation < min(size, start + extent) for start in starts):
        return
    if max(pad) >= extent:
        message = f"a window could lie in the padding alone: pad must be below {extent}"
        raise ShapeError(message, setting="pad")
    message = f"a window of dilation {dilation} steps over all {counted(size, 'cell')} of an axis"
    raise ShapeError(message, setting="dilation")


def _undone(order: Sequence[int]) -> tuple[int, ...]:
    return tuple(order.index(k) for k in range(len(order)))
