"""`conv`: the convolution of one, two or three spatial axes, by the rank of its input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.border import MODE_DOC, MODES, border_mode, check_border, with_border
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import Init, boolean, initializer, number, positive
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
from netdsl.primitives import Contract, PrimitiveBuilder, Slice
from netdsl.source import counted


@dataclass(frozen=True)
class Conv(LibraryOp):
    """Cross-correlation with learnt kernels: `[*S, C] -> [*O, channels]`.

    The weight is `[*K, C / groups, channels]`; with `groups = C` the convolution is depthwise.  Output size per
    axis: floor((in + pad - dilation * (kernel - 1) - 1) / stride) + 1.  Keras Conv1D..3D, PyTorch Conv1d..3d,
    ONNX Conv; LeCun et al. 1989.
    """

    name: ClassVar[str] = "conv"
    positional: ClassVar[tuple[str, ...]] = ("channels", "kernel")

    channels: int = setting("number of output channels", check=positive)
    kernel: int | tuple[int, ...] = setting("size of the kernel, or one per axis", check=sizes)
    stride: int | tuple[int, ...] = setting("step between outputs, or one per axis", 1, sizes)
    pad: Any = setting(PAD_DOC, "valid", padding)
    dilation: int | tuple[int, ...] = setting("step between kernel taps, or one per axis", 1, sizes)
    pad_mode: str = setting(MODE_DOC, "zeros", border_mode)
    convolve: bool = setting("turn the kernel round: a convolution instead of a correlation", False, boolean)
    groups: int = setting("channels are split into so many independent groups", 1, positive)
    bias: bool = setting("whether to add a bias per channel", True, boolean)
    init: Init = setting("initialiser of the weight", "auto", initializer)
    bias_init: Init = setting("initialiser of the bias", "zeros", initializer)
    pad_value: float = setting("what pad_mode = constant puts there", 0.0, number)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [*K, C / groups, channels]` and `bias [channels]`."""
        (x,) = data
        kernel = per_axis("kernel", self.kernel, spatial_rank("conv", x))
        if x.shape[-1] % self.groups or self.channels % self.groups:
            groups = counted(self.groups, "group")
            message = f"cannot split {x.shape[-1]} and {counted(self.channels, 'channel')} into {groups}"
            raise ShapeError(message, setting="groups")
        depth, taps = x.shape[-1] // self.groups, math.prod(kernel)
        # An input value reaches the outputs of its own group alone.
        fan = (taps * depth, taps * self.channels // self.groups)
        weight = ParamSpec("weight", (*kernel, depth, self.channels), self.init, fan=fan)
        bias = ParamSpec("bias", (self.channels,), self.bias_init, fan=fan, decay=False)
        return (weight, bias) if self.bias else (weight,)

    def contraction(self, x: TensorType) -> Contract:
        """The primitive for an input of this type."""
        dims = spatial_rank("conv", x)
        kernel = per_axis("kernel", self.kernel, dims)
        stride = per_axis("stride", self.stride, dims)
        dilation = per_axis("dilation", self.dilation, dims)
        pads = resolve_pads(self.pad, x.shape[1:-1], kernel, stride, dilation)
        return Contract("forward", stride, pads, dilation, self.groups)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[N, *O, channels]`."""
        x = types[0]
        kernel = per_axis("kernel", self.kernel, spatial_rank("conv", x))
        self.params(x)
        self._check_border(x)
        try:
            out = self.contraction(x).out_size(x.shape[1:-1], kernel)
        except ShapeError:
            message = f"a kernel of {_times(kernel)} does not fit into {list(x.shape[1:])}"
            raise ShapeError(message, operand=0, hint="did you mean pad = same?") from None
        return (TensorType((x.shape[0], *out, self.channels)),)

    def _check_border(self, x: TensorType) -> None:
        if self.pad_value and self.pad_mode != "constant":
            raise ShapeError(
                f"pad_value is for pad_mode = constant, not {self.pad_mode}", setting="pad_value"
            )
        if self.pad_mode not in ("zeros", "constant"):
            for n, (lo, hi) in zip(x.shape[1:-1], self.contraction(x).pad, strict=True):
                check_border(n, lo, hi, self.pad_mode)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        x, w = values[:2]
        op = self.contraction(b.type(x))
        if self.convolve:
            w = turned(b, w)
        if self.pad_mode != "zeros":
            x = with_border(b, x, op.pad, self.pad_mode, self.pad_value)
            op = replace(op, pad=((0, 0),) * op.dims)
        y = b.add1(op, x, w)
        return (b.map(lambda a, c: a + c, y, values[2]) if self.bias else y,)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The window of the kernel; everything where a border copies cells that a window does not hold."""
        op, kernel = self.contraction(types[0]), types[1].shape[:-2]
        spans = [(k - 1) * d for k, d in zip(kernel, op.dilation, strict=True)]
        inside = all(2 * max(pair) <= span for pair, span in zip(op.pad, spans, strict=True))
        if self.pad_mode not in ("zeros", "constant") and not (inside and self.pad_mode != "wrap"):
            return None
        return windows(kernel, op.stride, op.dilation, op.pad)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The formula of windows, and the setting of the channels."""
        op, kernel = self.contraction(types[0]), types[1].shape[:-2]
        spatial = types[0].shape[1:-1], kernel, op.stride, op.dilation, op.pad, result.shape[1:-1]
        return [*explain_windows(*spatial), f"channels: {self.channels}, as set"]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`Conv` between transposes, behind `Pad` for another border; ONNX has no symmetric one."""
        op, rank, x, w = self.contraction(types[0]), types[0].rank, names[0], names[1]
        if self.convolve:
            ends = [m.const([n] * op.dims) for n in (-1, -(2**31))]
            w = m.node("Slice", w, *ends, m.const(range(op.dims)), m.const([-1] * op.dims))
        if self.pad_mode == "symmetric":
            return None
        if self.pad_mode != "zeros":
            cells = [0, *(lo for lo, _ in op.pad), 0, 0, *(hi for _, hi in op.pad), 0]
            value = [m.const(np.array(self.pad_value))] if self.pad_value else []
            x = m.node("Pad", x, m.const(cells), *value, mode=self.pad_mode)
            op = replace(op, pad=((0, 0),) * op.dims)
        kernel = m.transpose(w, (rank - 1, rank - 2, *range(rank - 2)))
        y = m.node(
            "Conv",
            m.channels_first(x, rank),
            kernel,
            *names[2:],
            strides=op.stride,
            pads=[*(lo for lo, _ in op.pad), *(hi for _, hi in op.pad)],
            dilations=op.dilation,
            group=self.groups,
        )
        return (m.channels_last(y, rank),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition, one output position at a time."""
        x, w = arrays[:2]
        op = self.contraction(TensorType(x.shape))
        out = op.out_size(x.shape[1:-1], w.shape[:-2])
        w = np.flip(w, tuple(range(op.dims))) if self.convolve else w
        mode: Any = "constant" if self.pad_mode == "zeros" else self.pad_mode
        value: Any = {"constant_values": self.pad_value} if self.pad_mode == "constant" else {}
        padded = np.pad(x, ((0, 0), *op.pad, (0, 0)), mode, **value)
        y = np.zeros((x.shape[0], *out, self.channels), x.dtype)
        depth, width = w.shape[-2], self.channels // self.groups
        for at in itertools.product(*map(range, out)):
            cut = tuple(
                slice(o * s, o * s + (k - 1) * d + 1, d)
                for o, s, k, d in zip(at, op.stride, w.shape[:-2], op.dilation, strict=True)
            )
            patch = padded[(slice(None), *cut)]
            for g in range(self.groups):
                part = patch[..., g * depth : (g + 1) * depth].reshape(len(x), -1)
                kernel = w[..., g * width : (g + 1) * width].reshape(-1, width)
                place: tuple[Any, ...] = (slice(None), *at, slice(g * width, (g + 1) * width))
                y[place] = part @ kernel
        return (y + arrays[2] if self.bias else y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Every pad rule, 1-D to 3-D, strides, dilation, groups, depthwise, kernels that do not fit."""
        return (
            *(Sample(cls(2, 3, pad="same", pad_mode=m), ((1, 5, 4, 2),)) for m in MODES if m != "constant"),
            Sample(cls(2, 3, pad=2, pad_mode="reflect", stride=2), ((1, 4, 2),)),
            Sample(cls(2, 3, pad=(1, 0), pad_mode="constant", pad_value=0.75), ((1, 5, 4, 2),)),
            Sample(
                cls(2, 3, pad=1, pad_value=1.0), ((1, 4, 4, 2),), error="pad_value is for pad_mode = constant"
            ),
            Sample(cls(3, (2, 3), convolve=True), ((2, 4, 5, 2),)),
            Sample(cls(4, 3, pad="same", convolve=True, groups=2), ((1, 6, 4),)),
            Sample(cls(2, 3, pad=4, pad_mode="reflect"), ((1, 4, 4, 2),), error="reflect pads 4 cells"),
            Sample(cls(5, 3), ((2, 6, 7, 3),)),
            Sample(cls(4, 3, pad="same", stride=2, bias=False), ((1, 7, 6, 2),)),
            Sample(cls(17, 1), ((2, 3, 4, 9),)),
            Sample(cls(2, 4, pad="same"), ((1, 5, 5, 1),)),
            Sample(cls(3, (3, 2), stride=(2, 1), pad=((1, 0), (0, 1))), ((2, 5, 6, 2),)),
            Sample(cls(3, 3, stride=2, pad="same_upper"), ((1, 6, 6, 2),)),
            Sample(cls(3, 3, stride=2, pad="same_lower"), ((1, 6, 6, 2),)),
            Sample(cls(2, 3, pad="full", dilation=2), ((1, 4, 5, 2),)),
            Sample(cls(6, 3, groups=2, pad=1), ((2, 4, 4, 4),)),
            Sample(cls(10, 3, groups=10, pad="same", stride=2), ((1, 6, 5, 10),)),
            Sample(cls(4, 3, groups=2, pad="same"), ((1, 4, 4, 2),)),
            Sample(cls(4, 3, stride=2), ((2, 9, 3),)),
            Sample(cls(3, 2, pad=1, dilation=2), ((1, 3, 4, 3, 2),)),
            Sample(cls(4, 5), ((1, 4, 4, 2),), error="does not fit into [4, 4, 2]"),
            Sample(cls(4, 3, groups=3), ((1, 4, 4, 2),), error="channels into 3 groups"),
            Sample(cls(4, (3, 3, 3)), ((1, 4, 4, 2),), error="kernel has 3 entries"),
            Sample(cls(4, 3), ((1, 4),), error="1 to 3 spatial axes"),
        )


def _times(kernel: Sequence[int]) -> str:
    return " x ".join(map(str, kernel))


def turned(b: PrimitiveBuilder, w: Value) -> Value:
    """A kernel `[*K, C, F]` with its taps in the opposite order along every spatial axis."""
    shape = b.type(w).shape
    spatial = len(shape) - 2
    start = (*(k - 1 for k in shape[:-2]), 0, 0)
    return b.add1(Slice(start, (*(-1,) * spatial, 1, 1), shape), w)
