"""Ops that change the order of elements: axes, channels to pixels, shuffled channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.axes import axes_setting, resolve_axes
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import positive
from netdsl.ops.spatial import axis_names, spatial_rank
from netdsl.primitives import PrimitiveBuilder
from netdsl.source import counted


@dataclass(frozen=True)
class _Layout(LibraryOp):
    """Base: a reshape, a transpose and a reshape."""

    def order(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The view that is transposed, and how."""
        raise NotImplementedError(f"{self.name} has no order")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A reshape, a transpose and a reshape."""
        (x,) = values
        (result,) = self.infer(b.type(x))
        view, order = self.order(b.type(x).shape)
        return (b.reshape(b.transpose(b.reshape(x, view), order), result.shape),)

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        view, order = self.order(types[0].shape)
        moved = m.node("Transpose", m.node("Reshape", names[0], m.const(view)), perm=order)
        return (m.node("Reshape", moved, m.const(self.infer(*types)[0].shape)),)


@dataclass(frozen=True)
class Transpose(_Layout):
    """The axes in another order, the batch stays in front.  ONNX Transpose, Keras Permute (from 0 here)."""

    name: ClassVar[str] = "transpose"
    positional: ClassVar[tuple[str, ...]] = ("axes",)
    axes: tuple[int, ...] = setting("for each axis of the result, an axis of the operand", check=axes_setting)

    @override
    def order(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        resolve_axes(self.axes, len(shape))
        if len(self.axes) != len(shape) - 1:
            raise ShapeError(
                f"{list(shape[1:])} has {counted(len(shape) - 1, 'axis')}, not {len(self.axes)}",
                setting="axes",
            )
        return shape, (0, *(a + len(shape) if a < 0 else a + 1 for a in self.axes))

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        shape = types[0].shape
        return (TensorType(tuple(shape[a] for a in self.order(shape)[1]), types[0].dtype),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        axes = enumerate(zip(self.order(types[0].shape)[1][1:], result.shape[1:], strict=True))
        return [f"axis {k}: axis {at - 1} of the operand, {n}" for k, (at, n) in axes]

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything, because the axes change places."""

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].transpose(self.order(arrays[0].shape)[1]),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Two to four axes, invalid orders."""
        return (
            Sample(cls((1, 0)), ((2, 3, 4),)),
            Sample(cls((2, 0, 1)), ((2, 3, 4, 5),)),
            Sample(cls((-1, 0, 2, 1)), ((1, 2, 3, 4, 5),)),
            Sample(cls((0, 0)), ((2, 3, 4),), error="are not different axes"),
            Sample(cls((1, 0)), ((2, 3, 4, 5),), error="has 3 axes, not 2"),
        )


@dataclass(frozen=True)
class PixelShuffle(_Layout):
    """Channels become pixels: `[H, W, C * factor^2] -> [H * factor, W * factor, C]`.

    Channel `c * factor^2 + i * factor + j` becomes pixel (i, j) of channel c.  Shi et al. 2016; PyTorch PixelShuffle,
    ONNX DepthToSpace in mode CRD.
    """

    name: ClassVar[str] = "pixel_shuffle"
    positional: ClassVar[tuple[str, ...]] = ("factor",)
    factor: int = setting("how many times larger", check=positive)

    def order(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Each spatial axis next to its part of the channels."""
        dims, f = len(shape) - 2, self.factor
        parts = [axis for k in range(dims) for axis in (1 + k, 2 + dims + k)]
        return (*shape[:-1], shape[-1] // f**dims, *(f,) * dims), (0, *parts, 1 + dims)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Larger maps of fewer channels."""
        (x,) = types
        cells = self.factor ** spatial_rank(self.name, x)
        if x.shape[-1] % cells:
            raise ShapeError(
                f"cannot make {counted(cells, 'pixel')} of {counted(x.shape[-1], 'channel')}",
                setting="factor",
            )
        spatial = (n * self.factor for n in x.shape[1:-1])
        return (TensorType((x.shape[0], *spatial, x.shape[-1] // cells)),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        (x,), dims, f = types, result.rank - 2, self.factor
        axes = zip(axis_names(dims), x.shape[1:-1], result.shape[1:-1], strict=True)
        lines = [f"{name}: {n} * {f} = {o}" for name, n, o in axes]
        return [*lines, f"channels: {x.shape[-1]} / ({' * '.join([str(f)] * dims)}) = {result.shape[-1]}"]

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cell that the pixel was a channel of."""
        return (Reach(unit=self.factor),) * (result.rank - 2)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        f, dims = self.factor, x.ndim - 2
        y = np.empty(self.infer(TensorType(x.shape))[0].shape, x.dtype)
        for number, at in enumerate(np.ndindex(*(f,) * dims)):
            y[(slice(None), *(slice(k, None, f) for k in at))] = x[..., number :: f**dims]
        return (y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """1-D to 3-D, channels that do not fit."""
        return (
            Sample(cls(2), ((2, 3, 4, 8),)),
            Sample(cls(3), ((1, 2, 3, 18),)),
            Sample(cls(2), ((2, 5, 6),)),
            Sample(cls(2), ((1, 2, 3, 2, 16),)),
            Sample(cls(2), ((1, 3, 3, 6),), error="cannot make 4 pixels of 6 channels"),
        )


@dataclass(frozen=True)
class ChannelShuffle(_Layout):
    """Channels of `groups` groups in turn: channel `g * C / groups + k` goes to `k * groups + g`.

    ShuffleNet, Zhang et al. 2017; PyTorch ChannelShuffle.
    """

    name: ClassVar[str] = "channel_shuffle"
    positional: ClassVar[tuple[str, ...]] = ("groups",)
    groups: int = setting("how many groups take turns", check=positive)

    def order(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Groups and their channels change places."""
        return (math.prod(shape[:-1]), self.groups, shape[-1] // self.groups), (0, 2, 1)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        if x.rank < 2 or x.shape[-1] % self.groups:
            message = f"cannot split {counted(x.shape[-1], 'channel')} into {counted(self.groups, 'group')}"
            raise ShapeError(message, setting="groups")
        return (x,)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        y = np.empty_like(x)
        for g, part in enumerate(np.split(x, self.groups, axis=-1)):
            y[..., g :: self.groups] = part
        return (y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Maps and vectors, groups that do not divide."""
        cases: tuple[tuple[Any, ...], ...] = ((2, (2, 3, 4, 6)), (3, (4, 9)), (4, (1, 5, 8)))
        good = tuple(Sample(cls(groups), (shape,)) for groups, shape in cases)
        return (*good, Sample(cls(4), ((2, 3, 6),), error="channels into 4 groups"))
