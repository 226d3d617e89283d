"""Convolutions channel by channel: `depthwise_conv`, and `separable_conv`, which mixes the channels after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from netdsl.arrays import Array
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.border import MODE_DOC, border_mode
from netdsl.ops.conv import Conv
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import Init, boolean, initializer, number, positive
from netdsl.ops.spatial import PAD_DOC, padding, sizes
from netdsl.primitives import PrimitiveBuilder


@dataclass(frozen=True)
class DepthwiseConv(LibraryOp):
    """Each channel is convolved alone: `[*S, C] -> [*O, C * depth_multiplier]`.

    The weight is `[*K, 1, C * depth_multiplier]`.  `conv` with as many groups as channels; Keras DepthwiseConv2D.
    """

    name: ClassVar[str] = "depthwise_conv"
    positional: ClassVar[tuple[str, ...]] = ("kernel",)

    kernel: int | tuple[int, ...] = setting("size of the kernel, or one per axis", check=sizes)
    stride: int | tuple[int, ...] = setting("step between outputs, or one per axis", 1, sizes)
    pad: Any = setting(PAD_DOC, "valid", padding)
    dilation: int | tuple[int, ...] = setting("step between kernel taps, or one per axis", 1, sizes)
    pad_mode: str = setting(MODE_DOC, "zeros", border_mode)
    convolve: bool = setting("turn the kernel round: a convolution instead of a correlation", False, boolean)
    depth_multiplier: int = setting("outputs for each channel", 1, positive)
    bias: bool = setting("whether to add a bias per channel", True, boolean)
    init: Init = setting("initialiser of the weight", "auto", initializer)
    bias_init: Init = setting("initialiser of the bias", "zeros", initializer)
    pad_value: float = setting("what pad_mode = constant puts there", 0.0, number)

    def conv(self, x: TensorType) -> Conv:
        """The grouped convolution that this is for an input of this type."""
        if x.rank < 3:
            raise ShapeError(
                f"{self.name} takes 1 to 3 spatial axes and channels, not {list(x.shape[1:])}", 0
            )
        channels = x.shape[-1]
        return Conv(
            channels * self.depth_multiplier,
            self.kernel,
            self.stride,
            self.pad,
            self.dilation,
            self.pad_mode,
            self.convolve,
            channels,
            self.bias,
            self.init,
            self.bias_init,
            self.pad_value,
        )

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [*K, 1, C * depth_multiplier]` and `bias`."""
        return self.conv(data[0]).params(*data)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[N, *O, C * depth_multiplier]`."""
        return self.conv(types[0]).infer(*types)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A contraction in groups and a bias."""
        return self.conv(b.type(values[0])).expand(b, *values)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The window of the kernel."""
        return self.conv(types[0]).reach(types, result)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        lines = self.conv(types[0]).explain(types, result)[:-1]
        return [*lines, f"channels: {types[0].shape[-1]} * {self.depth_multiplier} = {result.shape[-1]}"]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        return self.conv(types[0]).onnx(m, types, *names)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return self.conv(TensorType(arrays[0].shape)).reference(*arrays)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One and two axes, a multiplier, no spatial axis."""
        return (
            Sample(cls(3), ((2, 5, 6, 4),)),
            Sample(cls(3, stride=2, pad="same", depth_multiplier=2), ((1, 6, 5, 3),)),
            Sample(cls(3, dilation=2, bias=False), ((1, 7, 9),)),
            Sample(cls((3, 2), pad="same", pad_mode="reflect", convolve=True), ((1, 4, 5, 3),)),
            Sample(cls(3), ((2, 5),), error="1 to 3 spatial axes"),
        )


@dataclass(frozen=True)
class SeparableConv(LibraryOp):
    """A depthwise convolution, then a 1x1 one: `[*S, C] -> [*O, channels]`.

    Weights are `depthwise [*K, 1, C * depth_multiplier]` and `pointwise [1, ..., C * depth_multiplier, channels]`.
    Sifre 2014, Chollet 2016; Keras SeparableConv2D.
    """

    name: ClassVar[str] = "separable_conv"
    positional: ClassVar[tuple[str, ...]] = ("channels", "kernel")

    channels: int = setting("number of output channels", check=positive)
    kernel: int | tuple[int, ...] = setting("size of the kernel, or one per axis", check=sizes)
    stride: int | tuple[int, ...] = setting("step between outputs, or one per axis", 1, sizes)
    pad: Any = setting(PAD_DOC, "valid", padding)
    dilation: int | tuple[int, ...] = setting("step between kernel taps, or one per axis", 1, sizes)
    pad_mode: str = setting(MODE_DOC, "zeros", border_mode)
    convolve: bool = setting("turn the kernel round: a convolution instead of a correlation", False, boolean)
    depth_multiplier: int = setting("channels between the two, for each channel", 1, positive)
    bias: bool = setting("whether to add a bias per channel", True, boolean)
    init: Init = setting("initialiser of both weights", "auto", initializer)
    bias_init: Init = setting("initialiser of the bias", "zeros", initializer)
    pad_value: float = setting("what pad_mode = constant puts there", 0.0, number)

    def parts(self, x: TensorType) -> tuple[DepthwiseConv, Conv, TensorType]:
        """The two convolutions, and the type between them."""
        depthwise = DepthwiseConv(
            self.kernel,
            self.stride,
            self.pad,
            self.dilation,
            self.pad_mode,
            self.convolve,
            self.depth_multiplier,
            bias=False,
            init=self.init,
            pad_value=self.pad_value,
        )
        pointwise = Conv(self.channels, 1, bias=self.bias, init=self.init, bias_init=self.bias_init)
        return depthwise, pointwise, depthwise.infer(x)[0]

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`depthwise`, `pointwise` and `bias`."""
        first, second, middle = self.parts(data[0])
        (depthwise,), (pointwise, *bias) = first.params(data[0]), second.params(middle)
        return (replace(depthwise, name="depthwise"), replace(pointwise, name="pointwise"), *bias)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[N, *O, channels]`."""
        _, second, middle = self.parts(types[0])
        return second.infer(middle)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        x, depthwise, *rest = values
        first, second, _ = self.parts(b.type(x))
        return second.expand(b, *first.expand(b, x, depthwise), *rest)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The window of the depthwise kernel."""
        return self.parts(types[0])[0].reach(types, result)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The formula of windows, and the setting of the channels."""
        first, _, middle = self.parts(types[0])
        return [*first.explain(types, middle)[:-1], f"channels: {self.channels}, as set"]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        first, second, middle = self.parts(types[0])
        between = first.onnx(m, types[:2], *names[:2])
        return None if between is None else second.onnx(m, (middle, *types[2:]), *between, *names[2:])

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, depthwise, *rest = arrays
        first, second, _ = self.parts(TensorType(x.shape))
        return second.reference(*first.reference(x, depthwise), *rest)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One and two axes, a multiplier, without bias."""
        return (
            Sample(cls(5, 3), ((2, 5, 6, 4),)),
            Sample(cls(7, 3, stride=2, pad="same", depth_multiplier=2, bias=False), ((1, 6, 5, 3),)),
            Sample(cls(3, 4, dilation=2), ((1, 9, 4),)),
            Sample(cls(4, 3, pad=1, pad_mode="edge", convolve=True), ((1, 4, 5, 3),)),
            Sample(cls(4, 3, pad=1, pad_mode="constant", pad_value=-0.5), ((1, 4, 5, 3),)),
        )
