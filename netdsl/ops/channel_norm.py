"""Normalisation of a cell by its own channels: local response normalisation and unit length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ir.types import FLOAT_MIN
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import number, positive, positive_number
from netdsl.primitives import PrimitiveBuilder, ReduceWindow
from netdsl.scalar import maximum, power, sqrt


@dataclass(frozen=True)
class _ChannelNorm(LibraryOp):
    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_channels(types[0])
        return (types[0],)


@dataclass(frozen=True)
class Lrn(_ChannelNorm):
    """`x / (k + alpha / size * sum of squares of `size` neighbouring channels) ^ beta`.  Krizhevsky et al. 2012.

    The defaults are those of ONNX LRN and PyTorch's LocalResponseNorm; AlexNet's are size 5, k 2 and an alpha of
    5 * 1e-4, since the paper does not divide by the size.  The neighbours of channel c are ONNX's, from
    `c - floor((size - 1) / 2)` to `c + ceil((size - 1) / 2)`; for an even size PyTorch takes the one more below.
    """

    name: ClassVar[str] = "lrn"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    size: int = setting("channels that are summed, the own one included", 5, positive)
    alpha: float = setting("weight of the mean square", 1e-4, number)
    beta: float = setting("exponent", 0.75, number)
    k: float = setting("added to the mean square", 1.0, positive_number)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Squares, their average over windows of channels, a map."""
        (x,) = values
        shape = b.type(x).shape
        squares = b.reshape(b.map(lambda v: v * v, x), (math.prod(shape[:-1]), shape[-1], 1))
        # What reaches past all channels adds nothing.
        low, high = (min(n, shape[-1] - 1) for n in ((self.size - 1) // 2, self.size // 2))
        near = low + 1 + high
        window = ReduceWindow("avg", (near,), (1,), ((low, high),), (1,), (0,))
        share = self.alpha * near / self.size
        means = b.reshape(b.add1(window, squares), shape)
        return (b.map(lambda v, m: v * power(self.k + share * m, -self.beta), x, means),)

    def published_flops(self, *types: TensorType) -> int:
        """A square, the sum, a product, a sum, a power and a quotient: the formula of Krizhevsky et al. 2012."""
        return (self.size + 4) * types[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`LRN` between transposes; runtimes take odd sizes alone."""
        if self.size % 2 == 0:
            return None
        x = m.channels_first(names[0], types[0].rank)
        y = m.node("LRN", x, size=self.size, alpha=self.alpha, beta=self.beta, bias=self.k)
        return (m.channels_last(y, types[0].rank),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        y = np.empty_like(x)
        for c in range(x.shape[-1]):
            near = x[..., max(0, c - (self.size - 1) // 2) : c + self.size // 2 + 1]
            y[..., c] = x[..., c] / (self.k + self.alpha / self.size * (near**2).sum(-1)) ** self.beta
        return (y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """AlexNet's settings, fewer and more neighbours than channels."""
        return (
            Sample(cls(5, alpha=5e-1, k=2.0), ((2, 3, 4, 9),)),
            Sample(cls(3, alpha=0.5), ((1, 3, 3, 8),)),
            Sample(cls(7, alpha=1.0, beta=0.5), ((2, 2, 2, 3),)),
            Sample(cls(4, alpha=0.5), ((1, 3, 3, 8),)),
        )


@dataclass(frozen=True)
class L2Normalize(_ChannelNorm):
    """`x / max(|x|, eps)` with the Euclidean length over the channels.  Liu et al. 2015; PyTorch normalize."""

    name: ClassVar[str] = "l2_normalize"
    eps: float = setting("smallest length to divide by", 1e-12, positive_number)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        total = b.reduce("sum", lambda v: v * v, x, axes=(-1,), keepdims=True)
        bound = max(self.eps * self.eps, FLOAT_MIN)
        return (b.map(lambda v, s: v / sqrt(maximum(s, bound)), x, total),)

    def published_flops(self, *types: TensorType) -> int:
        """A square, a sum and a quotient per element: the formula of Liu et al. 2015 (ParseNet)."""
        return 3 * types[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`LpNormalization`, which has no bound of its own."""
        return (m.node("LpNormalization", *names, axis=-1, p=2),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        return (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), self.eps),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (Sample(cls(), ((2, 3, 4, 5),), low=0.1), Sample(cls(), ((3, 9),), low=0.1))
