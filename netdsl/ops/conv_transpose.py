"""`conv_transpose`: the adjoint of a convolution, which makes maps larger."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import Init, boolean, initializer, positive
from netdsl.ops.spatial import axis_names, counts, padding, per_axis, resolve_pads, sizes, spatial_rank
from netdsl.primitives import Contract, PrimitiveBuilder
from netdsl.source import counted


@dataclass(frozen=True)
class ConvTranspose(LibraryOp):
    """Spreads each input cell over a kernel's window: `[*S, C] -> [*O, channels]`.

    The weight is `[*K, channels / groups, C]`.  Output size per axis: (in - 1) * stride + dilation * (kernel - 1) + 1
    - pad + output_padding; with `pad = same` it is in * stride.  PyTorch and ONNX ConvTranspose, Keras
    Conv2DTranspose; Zeiler et al. 2010 ("deconvolution").
    """

    name: ClassVar[str] = "conv_transpose"
    positional: ClassVar[tuple[str, ...]] = ("channels", "kernel")

    channels: int = setting("number of output channels", check=positive)
    kernel: int | tuple[int, ...] = setting("size of the kernel, or one per axis", check=sizes)
    stride: int | tuple[int, ...] = setting(
        "step between the windows of neighbours, or one per axis", 1, sizes
    )
    pad: Any = setting(
        "cells cut off: same (output = in * stride), valid (none), a number, one number or pair per axis",
        "valid",
        padding,
    )
    output_padding: int | tuple[int, ...] = setting("cells added at the end, below stride", 0, counts)
    dilation: int | tuple[int, ...] = setting("step between kernel taps, or one per axis", 1, sizes)
    groups: int = setting("channels are split into so many independent groups", 1, positive)
    bias: bool = setting("whether to add a bias per channel", True, boolean)
    init: Init = setting("initialiser of the weight", "auto", initializer)
    bias_init: Init = setting("initialiser of the bias", "zeros", initializer)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [*K, channels / groups, C]` and `bias [channels]`."""
        (x,) = data
        kernel = per_axis("kernel", self.kernel, spatial_rank(self.name, x))
        if x.shape[-1] % self.groups or self.channels % self.groups:
            groups = counted(self.groups, "group")
            message = f"cannot split {x.shape[-1]} and {counted(self.channels, 'channel')} into {groups}"
            raise ShapeError(message, setting="groups")
        width, taps = self.channels // self.groups, math.prod(kernel)
        fan = (taps * x.shape[-1] // self.groups, taps * width)
        weight = ParamSpec("weight", (*kernel, width, x.shape[-1]), self.init, fan=fan)
        bias = ParamSpec("bias", (self.channels,), self.bias_init, fan=fan, decay=False)
        return (weight, bias) if self.bias else (weight,)

    def contraction(self, x: TensorType) -> Contract:
        """The primitive for an input of this type: a convolution's derivative to its input."""
        dims = spatial_rank(self.name, x)
        kernel, stride, dilation, extra = (
            per_axis(name, getattr(self, name), dims)
            for name in ("kernel", "stride", "dilation", "output_padding")
        )
        if any(e >= s for e, s in zip(extra, stride, strict=True)):
            raise ShapeError("output_padding must be below stride", setting="output_padding")
        steps = zip(x.shape[1:-1], stride, kernel, dilation, strict=True)
        full = tuple((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in steps)
        if self.pad in ("same", "same_upper", "same_lower"):
            size = tuple(n * s for n, s in zip(x.shape[1:-1], stride, strict=True))
            rule = "same_lower" if self.pad == "same_lower" else "same_upper"
            pads = resolve_pads(rule, size, kernel, stride, dilation)
        else:
            pads = resolve_pads(self.pad, full, kernel, stride, dilation)
            size = tuple(f - lo - hi + e for f, (lo, hi), e in zip(full, pads, extra, strict=True))
        if any(n < 1 for n in size):
            raise ShapeError(f"pad cuts off all of {list(full)}", setting="pad")
        return Contract("backward_data", stride, pads, dilation, self.groups, size)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[N, *O, channels]`."""
        x = types[0]
        self.params(x)
        size = self.contraction(x).size
        assert size is not None
        return (TensorType((x.shape[0], *size, self.channels)),)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        x, w = values[:2]
        y = b.add1(self.contraction(b.type(x)), x, w)
        return (b.map(lambda a, c: a + c, y, values[2]) if self.bias else y,)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cells whose windows reach a cell: taps that meet one when they go in steps of the stride."""
        op, kernel = self.contraction(types[0]), types[1].shape[:-2]
        axes = zip(kernel, op.stride, op.dilation, op.pad, strict=True)
        return tuple(Reach(k, 1, d, (k - 1) * d - lo, unit=s, between="none") for k, s, d, (lo, _) in axes)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The formula of windows turned round, and the setting of the channels."""
        kernel = types[1].shape[:-2]
        axes = zip(
            self._steps(types[0], kernel), result.shape[1:-1], self._extra(types[0], kernel), strict=True
        )
        lines = [
            f"{name}: ({n} - 1) * {s} + {d} * ({k} - 1) + 1 - {lo} - {hi} + {extra} = {o}"
            for name, ((n, s, k, d, (lo, hi)), o, extra) in zip(
                axis_names(result.rank - 2), axes, strict=True
            )
        ]
        return [*lines, f"channels: {self.channels}, as set"]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`ConvTranspose` between transposes."""
        op, rank = self.contraction(types[0]), types[0].rank
        assert op.size is not None
        y = m.node(
            "ConvTranspose",
            m.channels_first(names[0], rank),
            m.transpose(names[1], (rank - 1, rank - 2, *range(rank - 2))),
            *names[2:],
            strides=op.stride,
            pads=[*(lo for lo, _ in op.pad), *(hi for _, hi in op.pad)],
            output_padding=self._extra(types[0], types[1].shape[:-2]),
            dilations=op.dilation,
            group=self.groups,
        )
        return (m.channels_last(y, rank),)

    def _steps(
        self, x: TensorType, kernel: Sequence[int]
    ) -> list[tuple[int, int, int, int, tuple[int, int]]]:
        op = self.contraction(x)
        return list(zip(x.shape[1:-1], op.stride, kernel, op.dilation, op.pad, strict=True))

    def _extra(self, x: TensorType, kernel: Sequence[int]) -> tuple[int, ...]:
        """Cells beyond the last window."""
        size = self.contraction(x).size
        assert size is not None
        axes = zip(size, self._steps(x, kernel), strict=True)
        return tuple(o + lo + hi - (n - 1) * s - (k - 1) * d - 1 for o, (n, s, k, d, (lo, hi)) in axes)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition, one input position at a time."""
        x, w = arrays[:2]
        op = self.contraction(TensorType(x.shape))
        assert op.size is not None
        width, depth = w.shape[-2], x.shape[-1] // self.groups
        spans = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in self._axes(x, w, op)]
        room = [max(f, o + lo + hi) for f, o, (lo, hi) in zip(spans, op.size, op.pad, strict=True)]
        y = np.zeros((len(x), *room, self.channels), x.dtype)
        for at in itertools.product(*map(range, x.shape[1:-1])):
            cut = tuple(
                slice(a * s, a * s + (k - 1) * d + 1, d)
                for a, (_, s, k, d) in zip(at, self._axes(x, w, op), strict=True)
            )
            for g in range(self.groups):
                here: tuple[Any, ...] = (slice(None), *at, slice(g * depth, (g + 1) * depth))
                part = np.einsum("nf,...cf->n...c", x[here], w[..., g * depth : (g + 1) * depth])
                place: tuple[Any, ...] = (slice(None), *cut, slice(g * width, (g + 1) * width))
                y[place] += part
        inside = [slice(lo, lo + o) for o, (lo, _) in zip(op.size, op.pad, strict=True)]
        y = y[(slice(None), *inside)]
        return (y + arrays[2] if self.bias else y,)

    def _axes(self, x: Array, w: Array, op: Contract) -> list[tuple[int, int, int, int]]:
        return list(zip(x.shape[1:-1], op.stride, w.shape[:-2], op.dilation, strict=True))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """1-D to 3-D, strides above and below the kernel, pad rules, groups, dilation, nothing left."""
        return (
            Sample(cls(5, 3), ((2, 4, 5, 3),)),
            Sample(cls(4, 2, stride=2), ((1, 3, 4, 9),)),
            Sample(cls(3, 4, stride=2, pad=1), ((2, 4, 3, 2),)),
            Sample(cls(2, 3, stride=2, pad=1, output_padding=1, bias=False), ((1, 4, 4, 3),)),
            Sample(cls(2, 3, stride=2, pad="same"), ((1, 3, 4, 2),)),
            Sample(cls(2, 2, stride=3, pad="same"), ((1, 3, 2, 2),)),
            Sample(cls(4, 3, groups=2, dilation=2), ((1, 3, 4, 6),)),
            Sample(cls(6, 3, stride=2, groups=6), ((1, 3, 4, 6),)),
            Sample(cls(3, (2, 3), stride=(1, 2), pad=((1, 0), (0, 1))), ((2, 3, 3, 2),)),
            Sample(cls(3, 4, stride=2, pad=1), ((2, 5, 3),)),
            Sample(cls(2, 2, stride=2), ((1, 2, 2, 3, 2),)),
            Sample(cls(2, 2, pad=2), ((1, 2, 2, 3),), error="cuts off all of"),
            Sample(cls(2, 2, output_padding=1), ((1, 2, 2, 3),), error="output_padding must be below stride"),
            Sample(cls(2, 2, 2, 1, 2, 3), ((1, 4, 4, 3),), error="output_padding must be below stride"),
            Sample(cls(3, 3, groups=2), ((1, 4, 4, 2),), error="channels into 2 groups"),
        )
