"""Dropout and noise: in training, and in inference where the settings ask for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from netdsl.arrays import Array
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, fraction, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Expr, cos, log, sqrt, where


@dataclass(frozen=True)
class _Noise(LibraryOp):
    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_numbers(types[0])
        return (types[0],)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Nothing in inference, a map with random numbers in training."""
        (x,) = values
        return (self.noise(b, x) if b.training else x,)

    def noise(self, b: PrimitiveBuilder, x: Value) -> Value:
        """The operand with its noise."""
        raise NotImplementedError(f"{self.name} has no noise")

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """Nothing: there is no noise in inference."""
        return (m.node("Identity", *names),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0],)


@dataclass(frozen=True)
class _Drop(_Noise):
    """Base: parts of the operand are 0 with probability `rate`, the rest is divided by `1 - rate`."""

    positional: ClassVar[tuple[str, ...]] = ("rate",)
    rate: float = setting("probability of dropping", 0.5, fraction)
    monte_carlo: bool = setting("drop in inference too (Gal and Ghahramani 2016)", False, boolean)

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The operand's shape with 1 for the axes along which one decision holds."""
        return shape

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A map with random numbers, in inference only with `monte_carlo`."""
        (x,) = values
        return (self.noise(b, x) if b.training or self.monte_carlo else x,)

    def noise(self, b: PrimitiveBuilder, x: Value) -> Value:
        """Kept and scaled, or dropped."""
        shape, keep = b.type(x).shape, 1.0 - self.rate
        if self.part(shape) == shape:
            return b.map(lambda v, key: where(b.uniform(key) < keep, v * (1.0 / keep), 0.0), x, b.key())
        decision = where(b.uniform(Arg(0)) < keep, 1.0 / keep, 0.0)
        return b.map(lambda v, d: v * d, x, b.map_expr(decision, b.key(), shape=self.part(shape)))

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """Nothing in inference; ONNX has no seeded Monte-Carlo dropout."""
        return None if self.monte_carlo else super().onnx(m, types, *names)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both modes, Monte Carlo, a rate of 0."""
        many = (40, 5, 20)
        return (
            Sample(cls(0.5), ((3, 2, 4),)),
            Sample(cls(0.3), (many,), low=1.0, high=1.0, training=True, random=True),
            Sample(cls(0.3, monte_carlo=True), (many,), low=1.0, high=1.0, random=True),
            Sample(cls(0.0), ((3, 2, 4),), training=True),
        )


@dataclass(frozen=True)
class Dropout(_Drop):
    """Each element is 0 with probability `rate`, else divided by `1 - rate`; in training only.

    Srivastava et al. 2014, in the inverted form of Keras and PyTorch.
    """

    name: ClassVar[str] = "dropout"
    scalars: ClassVar[bool] = True


@dataclass(frozen=True)
class SpatialDropout(_Drop):
    """Whole channels of a sample are 0 with probability `rate`, else divided by `1 - rate`; in training only.

    Tompson et al. 2014; Keras SpatialDropout, PyTorch Dropout1d..3d.
    """

    name: ClassVar[str] = "spatial_dropout"

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One decision per sample and channel."""
        return (shape[0], *(1,) * (len(shape) - 2), shape[-1])


@dataclass(frozen=True)
class DropPath(_Drop):
    """The whole operand of a sample is 0 with probability `rate`, else divided by `1 - rate`; in training only.

    Stochastic depth, Huang et al. 2016: the last op of a residual branch.  Their rate grows from block to block,
    `drop_path(0.5 * l / L)` for block l of L.
    """

    name: ClassVar[str] = "drop_path"

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One decision per sample."""
        return (shape[0], *(1,) * (len(shape) - 1))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Many samples for the statistics."""
        rest = super().samples()
        return (rest[0], rest[-1], *(replace(s, data=((2000, 2),)) for s in rest[1:3]))


@dataclass(frozen=True)
class GaussianNoise(_Noise):
    """Adds a normal random number of standard deviation `std` to each element; in training only.

    The normal numbers are those of Box and Muller 1958.
    """

    name: ClassVar[str] = "gaussian_noise"
    scalars: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("std",)
    std: float = setting("standard deviation of the noise", 0.1, positive_number)

    def noise(self, b: PrimitiveBuilder, x: Value) -> Value:
        """The element and a normal number."""

        def element(v: Expr, key: Expr) -> Expr:
            radius = sqrt(-2.0 * log(1.0 - b.uniform(key)))
            return v + self.std * (radius * cos((2.0 * math.pi) * b.uniform(key, word=1)))

        return b.map(element, x, b.key())

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (
            Sample(cls(0.5), ((3, 4),)),
            Sample(cls(0.5), ((40, 100),), low=1.0, high=1.0, training=True, random=True),
        )
