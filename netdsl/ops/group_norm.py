"""Normalisation of one sample by its own statistics: instance, group and layer norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.moments import moments
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, positive, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import sqrt
from netdsl.source import counted


@dataclass(frozen=True)
class _SampleNorm(LibraryOp):
    """Base: `(x - mean) / sqrt(var + eps) * weight + bias`, statistics over the axes `within` of a grouped view."""

    eps: float = setting("added to the variance", 1e-5, positive_number)
    affine: bool = setting("learn a factor and an offset per channel (weight, bias)", True, boolean)

    def grouped(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The view of an operand, and the axes of it that share statistics."""
        raise NotImplementedError(f"{self.name} has no groups")

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [C]` and `bias [C]`."""
        shape = data[0].shape[-1:]
        both = (ParamSpec("weight", shape, "ones", decay=False), ParamSpec("bias", shape, decay=False))
        return both if self.affine else ()

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_channels(types[0])
        self.grouped(types[0].shape)
        return (types[0],)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The whole sample, or the cell itself where statistics are over the channels alone."""
        alone = self.grouped(types[0].shape)[1] == (types[0].rank - 1,)
        return super().reach(types, result) if alone else None

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Two reductions, a map, and a map for the learnt part."""
        x = values[0]
        shape = b.type(x).shape
        view, within = self.grouped(shape)
        v = b.reshape(x, view)
        mean, var = moments(b, v, within)
        scale = b.map(lambda s: 1.0 / sqrt(s + self.eps), var)
        y = b.reshape(b.map(lambda a, m, s: (a - m) * s, v, mean, scale), shape)
        return (b.map(lambda a, w, c: a * w + c, y, *values[1:]) if self.affine else y,)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x = arrays[0]
        view, within = self.grouped(x.shape)
        v = x.reshape(view)
        y = (v - v.mean(within, keepdims=True)) / np.sqrt(v.var(within, keepdims=True) + self.eps)
        y = y.reshape(x.shape)
        return (y * arrays[1] + arrays[2] if self.affine else y,)


@dataclass(frozen=True)
class GroupNorm(_SampleNorm):
    """Statistics of a sample over the map and the channels of one group.  Wu and He 2018."""

    name: ClassVar[str] = "group_norm"
    positional: ClassVar[tuple[str, ...]] = ("groups",)
    groups: int = setting("channels are split into so many groups", 32, positive)

    def grouped(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """`[N, positions, groups, C / groups]`."""
        if shape[-1] % self.groups:
            message = f"cannot split {counted(shape[-1], 'channel')} into {counted(self.groups, 'group')}"
            raise ShapeError(message, setting="groups")
        return (shape[0], math.prod(shape[1:-1]), self.groups, shape[-1] // self.groups), (1, 3)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`InstanceNormalization` of the groups, then a factor and an offset: GroupNormalization came later."""
        shape, rank = types[0].shape, types[0].rank
        first = m.channels_first(names[0], rank)
        split = m.node("Reshape", first, m.const((shape[0], self.groups, -1)))
        ones, zeros = m.const(np.ones(self.groups)), m.const(np.zeros(self.groups))
        y = m.node("InstanceNormalization", split, ones, zeros, epsilon=self.eps)
        y = m.channels_last(m.node("Reshape", y, m.const((shape[0], shape[-1], *shape[1:-1]))), rank)
        return (m.node("Add", m.node("Mul", y, names[1]), names[2]) if self.affine else y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Maps and vectors, groups that do not divide."""
        return (
            Sample(cls(groups=2), ((2, 3, 4, 6),)),
            Sample(cls(groups=3, affine=False), ((2, 5, 9),)),
            Sample(cls(groups=2, eps=1e-3), ((3, 8),)),
            Sample(cls(groups=4), ((2, 3, 4, 6),), error="channels into 4 groups"),
        )


@dataclass(frozen=True)
class InstanceNorm(_SampleNorm):
    """Statistics of a sample over the map, channel by channel.  Ulyanov et al. 2016."""

    name: ClassVar[str] = "instance_norm"

    def grouped(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """`[N, positions, C]`."""
        if math.prod(shape[1:-1]) < 2:
            raise ShapeError(f"instance_norm needs more than one cell per channel, not {list(shape[1:])}", 0)
        return (shape[0], math.prod(shape[1:-1]), shape[-1]), (1,)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`InstanceNormalization` between transposes."""
        channels, rank = types[0].shape[-1], types[0].rank
        learnt = names[1:] or (m.const(np.ones(channels)), m.const(np.zeros(channels)))
        y = m.node("InstanceNormalization", m.channels_first(names[0], rank), *learnt, epsilon=self.eps)
        return (m.channels_last(y, rank),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Maps of one to three axes, one cell refused."""
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls(affine=False), ((2, 7, 3),)),
            Sample(cls(1e-3), ((1, 2, 3, 2, 9),)),
            Sample(cls(), ((2, 5),), error="more than one cell"),
        )


@dataclass(frozen=True)
class LayerNorm(_SampleNorm):
    """Statistics over the channels, cell by cell.  Ba, Kiros and Hinton 2016; PyTorch LayerNorm(C)."""

    name: ClassVar[str] = "layer_norm"

    def grouped(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The last axis."""
        return shape, (len(shape) - 1,)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`LayerNormalization` over the last axis."""
        learnt = names[1:] or (m.const(np.ones(types[0].shape[-1])),)
        return (m.node("LayerNormalization", names[0], *learnt, axis=-1, epsilon=self.eps),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls(affine=False), ((3, 9),)),
            Sample(cls(eps=1e-3), ((2, 3, 17),)),
        )
