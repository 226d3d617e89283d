"""Normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.moments import moments
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, fraction, one_of, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, sqrt


def _statistics(value: Any) -> str | None:
    return None if value is None else one_of("batch", "running")(value)


@dataclass(frozen=True)
class BatchNorm(LibraryOp):
    """`(x - mean) / sqrt(var + eps) * weight + bias`, per channel.  Ioffe and Szegedy 2015.

    In training mean and variance are those of the batch, and the running statistics keep `momentum` of their
    value (Keras' convention; PyTorch's momentum is 1 minus it) and take in the unbiased variance, as PyTorch.
    A layer that is used several times takes in the statistics of all uses, in the order of the file.
    In inference the running statistics are used, and with `statistics = running` in training too, where they then
    stay as they are: the layer behaves as in inference.  That is what `@freeze` makes of it, as in Keras;
    `statistics = batch` keeps those of the batch under `@freeze` too, as in PyTorch.
    """

    name: ClassVar[str] = "batch_norm"
    momentum: float = setting("fraction of the running statistics that a step keeps", 0.9, fraction)
    eps: float = setting("added to the variance", 1e-5, positive_number)
    scale: bool = setting("learn a factor per channel (weight)", True, boolean)
    center: bool = setting("learn an offset per channel (bias)", True, boolean)
    statistics: str | None = setting(
        "what training normalises with: `batch` or `running`; default: `running` under `@freeze`, else `batch`",
        None,
        _statistics,
    )

    @property
    def of_batch(self) -> bool:
        """Whether training uses the statistics of the batch."""
        return self.statistics != "running"

    def frozen(self) -> BatchNorm:
        """With the running statistics, where the file does not ask for those of the batch."""
        return self if self.statistics else replace(self, statistics="running")

    def check_training(self, *types: TensorType) -> None:
        """Refuse a batch with a single value per channel, which has no variance."""
        count = types[0].size // types[0].shape[-1]
        if self.of_batch and count < 2:
            message = "batch_norm has one value per channel, and so no variance to train with"
            raise ShapeError(message, operand=0)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight`, `bias`, `running_mean` and `running_var`, all `[C]`."""
        shape = data[0].shape[-1:]
        weight = ParamSpec("weight", shape, "ones", decay=False)
        bias = ParamSpec("bias", shape, "zeros", decay=False)
        mean = ParamSpec("running_mean", shape, "zeros", trainable=False)
        var = ParamSpec("running_var", shape, "ones", trainable=False)
        return (*((weight,) if self.scale else ()), *((bias,) if self.center else ()), mean, var)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_channels(types[0])
        return (types[0],)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A scale and a shift per channel; in training from the statistics of the batch."""
        x, *learnt, mean, var = values
        if b.training and self.of_batch:
            mean, var = self._batch_statistics(b, x, mean, var)
        scale = b.map(lambda v: 1.0 / sqrt(v + self.eps), var)
        if self.scale:
            scale = b.map(lambda s, w: s * w, scale, learnt[0])
        if self.center:
            return (b.map(_centred, x, mean, scale, learnt[-1]),)
        return (b.map(lambda v, m, s: (v - m) * s, x, mean, scale),)

    def _batch_statistics(
        self, b: PrimitiveBuilder, x: Value, old_mean: Value, old_var: Value
    ) -> tuple[Value, Value]:
        shape = b.type(x).shape
        axes, count = range(len(shape) - 1), math.prod(shape[:-1])
        mean, var = (b.reshape(v, shape[-1:]) for v in moments(b, x, axes))
        # A single value is refused before training (`check_training`); costs are counted for it all the same.
        keep, unbiased = self.momentum, count / max(1, count - 1)
        b.update(old_mean, b.map(lambda r, m: keep * r + (1 - keep) * m, b.latest(old_mean), mean))
        b.update(old_var, b.map(lambda r, v: keep * r + (1 - keep) * unbiased * v, b.latest(old_var), var))
        return mean, var

    def published_flops(self, *types: TensorType) -> int:
        """A product and a sum per element: one linear map once trained, Ioffe and Szegedy 2015 (section 3.1)."""
        return 2 * types[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`BatchNormalization` between transposes."""
        x, *learnt, mean, var = names
        shape, rank = types[0].shape[-1:], types[0].rank
        scale = learnt[0] if self.scale else m.const(np.ones(shape))
        bias = learnt[-1] if self.center else m.const(np.zeros(shape))
        y = m.node("BatchNormalization", m.channels_first(x, rank), scale, bias, mean, var, epsilon=self.eps)
        return (m.channels_last(y, rank),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition with the running statistics."""
        return (self._normalise(*arrays),)

    def reference_training(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition with the statistics of the batch."""
        x = arrays[0]
        axes = tuple(range(x.ndim - 1))
        if not self.of_batch:
            return self.reference(*arrays)
        return (self._normalise(*arrays[:-2], x.mean(axes), x.var(axes)),)

    def reference_updates(self, *arrays: Array) -> dict[int, Array]:
        """The new running statistics, by operand."""
        x, mean, var = arrays[0], arrays[-2], arrays[-1]
        axes, keep, n = tuple(range(x.ndim - 1)), self.momentum, len(arrays)
        if not self.of_batch:
            return {}
        return {
            n - 2: keep * mean + (1 - keep) * x.mean(axes),
            n - 1: keep * var + (1 - keep) * x.var(axes, ddof=1),
        }

    def _normalise(self, x: Array, *rest: Array) -> Array:
        *learnt, mean, var = rest
        y = (x - mean) / np.sqrt(var + self.eps)
        if self.scale:
            y = y * learnt[0]
        return np.asarray(y + learnt[-1] if self.center else y)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Maps and vectors, with and without scale and offset, both modes."""
        return (
            Sample(cls(), ((3, 4, 5, 6),)),
            Sample(cls(eps=1e-3, momentum=0.99), ((2, 9),)),
            Sample(cls(scale=False), ((2, 3, 4),)),
            Sample(cls(center=False), ((2, 3, 4),)),
            Sample(cls(), ((3, 4, 2, 5),), training=True),
            Sample(cls(scale=False, center=False), ((4, 3),), training=True),
            Sample(cls(statistics="running"), ((3, 4, 2, 5),), training=True),
        )


def _centred(x: Expr, mean: Expr, scale: Expr, bias: Expr) -> Expr:
    return (x - mean) * scale + bias
