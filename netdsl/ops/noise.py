"""Noise that is there in training only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ir.op import Array
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import fraction, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, cos, log, sqrt, where


@dataclass(frozen=True)
class _Noise(LibraryOp):
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The same type."""
        if types[0].dtype != "f32":
            raise ShapeError(f"{self.name} takes numbers, not {types[0]}", operand=0)
        return (types[0],)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Nothing in inference, a map with random numbers in training."""
        (x,) = values
        return (b.map(lambda v, key: self.noisy(b, v, key), x, b.key()) if b.training else x,)

    def noisy(self, b: PrimitiveBuilder, x: Expr, key: Expr) -> Expr:
        """One element with its noise."""
        raise NotImplementedError(f"{self.name} has no noise")

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """None in inference."""
        return 0

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """Nothing: there is no noise in inference."""
        return (m.node("Identity", *names),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The operand."""
        return (arrays[0],)


@dataclass(frozen=True)
class Dropout(_Noise):
    """Each element is 0 with probability `rate`, else divided by `1 - rate`; in training only.

    Srivastava et al. 2014, in the inverted form of Keras and PyTorch.
    """

    name: ClassVar[str] = "dropout"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    rate: float = setting("probability of dropping an element", 0.5, fraction)

    def noisy(self, b: PrimitiveBuilder, x: Expr, key: Expr) -> Expr:
        """Kept and scaled, or dropped."""
        return where(b.uniform(key) < 1.0 - self.rate, x * (1.0 / (1.0 - self.rate)), 0.0)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both modes, a rate that is none."""
        return (
            Sample(cls(0.5), ((3, 4),)),
            Sample(cls(0.3), ((40, 100),), low=1.0, high=1.0, training=True, random=True),
            Sample(cls(0.0), ((3, 4),), training=True),
        )


@dataclass(frozen=True)
class GaussianNoise(_Noise):
    """Adds a normal random number of standard deviation `std` to each element; in training only.

    The normal numbers are those of Box and Muller 1958.
    """

    name: ClassVar[str] = "gaussian_noise"
    positional: ClassVar[tuple[str, ...]] = ("std",)
    std: float = setting("standard deviation of the noise", 0.1, positive_number)

    def noisy(self, b: PrimitiveBuilder, x: Expr, key: Expr) -> Expr:
        """The element and a normal number."""
        radius = sqrt(-2.0 * log(1.0 - b.uniform(key)))
        return x + self.std * (radius * cos((2.0 * math.pi) * b.uniform(key, word=1)))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both modes."""
        return (
            Sample(cls(0.5), ((3, 4),)),
            Sample(cls(0.5), ((40, 100),), low=1.0, high=1.0, training=True, random=True),
        )
