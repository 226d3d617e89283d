"""Softmax and its logarithm, over the channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.base import LibraryOp
from netdsl.ops.onnx import OnnxBuilder
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import exp, log, stop_gradient


@dataclass(frozen=True)
class LogSoftmax(LibraryOp):
    """`x - log(sum(exp(x)))` over the channels, shifted by the largest so that nothing overflows."""

    name: ClassVar[str] = "log_softmax"

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_channels(types[0])
        return (types[0],)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Shift, exponentiate, sum, subtract."""
        return (log_softmax(b, values[0]),)

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.node("LogSoftmax", *names, axis=-1),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.logaddexp` row by row."""
        (x,) = arrays
        total = np.logaddexp.reduce(x, axis=-1, keepdims=True)
        return ((x - total).astype(x.dtype),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (
            Sample(cls(), ((3, 10),)),
            Sample(cls(), ((2, 3, 2, 5),)),
            Sample(cls(), ((2, 9),), low=-90.0, high=90.0, smooth=False),
        )


@dataclass(frozen=True)
class Softmax(LogSoftmax):
    """`exp(x) / sum(exp(x))` over the channels, shifted by the largest so that nothing overflows."""

    name: ClassVar[str] = "softmax"

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        shifted = _shifted(b, values[0])
        total = b.reduce("sum", exp, shifted, axes=(-1,), keepdims=True)
        return (b.map(lambda x, s: exp(x) / s, shifted, total),)

    def published_flops(self, *types: TensorType) -> int:
        """Maximum, shift, exponential, sum and quotient per element: Clark et al. 2020 (ELECTRA)."""
        return 5 * types[0].size

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.node("Softmax", *names, axis=-1),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.exp(super().reference(*arrays)[0]),)


def log_softmax(b: PrimitiveBuilder, x: Value) -> Value:
    """The logarithm of softmax over the last axis."""
    shifted = _shifted(b, x)
    total = b.reduce("sum", exp, shifted, axes=(-1,), keepdims=True)
    return b.map(lambda s, t: s - t, shifted, b.map(log, total))


def _shifted(b: PrimitiveBuilder, x: Value) -> Value:
    # The result does not depend on the shift, so no gradient needs to flow through the maximum.
    return b.map(lambda v, m: v - stop_gradient(m), x, b.max(x, (-1,), keepdims=True))
