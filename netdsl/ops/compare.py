"""Comparisons of elements: tensors of true and false, for `where`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType
from netdsl.ops.broadcast import Broadcast
from netdsl.ops.onnx import OnnxBuilder
from netdsl.scalar import Expr, eq, ne

RELATIONS: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "equal": eq,
    "not_equal": ne,
}
FLOAT = 1
"""ONNX' number of the type float32, for `Cast`."""


@dataclass(frozen=True)
class Comparison(Broadcast):
    """Base: compares two elements, numbers or indices; operands broadcast.  With a NaN the result is false."""

    operands: ClassVar[int | None] = 2
    verb: ClassVar[str] = "compare"
    onnx_type: ClassVar[str] = ""

    @override
    def scalar(self, *operands: Expr) -> Expr:
        x, y = operands
        return RELATIONS[self.name](x, y)

    def check(self, types: Sequence[TensorType]) -> None:
        """Raise ShapeError unless the operands have an order."""
        for k, t in enumerate(types):
            if t.dtype == "bool":
                raise ShapeError(f"{self.name} compares numbers, not {t.words}", operand=k)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The broadcast shape, of true and false."""
        return (TensorType(super().infer(*types)[0].shape, "bool"),)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """The comparison of two tensors of one type."""
        x = self.onnx_aligned(m, types, names)
        if len({t.dtype for t in types}) > 1:
            x = [
                v if t.dtype == "f32" else m.node("Cast", v, to=FLOAT) for v, t in zip(x, types, strict=True)
            ]
        return (m.node(self.onnx_type, *x),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(getattr(np, self.name)(*self.aligned(arrays))),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Numbers, indices, both, a vector over a map, maps that do not fit."""
        shapes = ((2, 3, 4, 5), (2, 3, 4, 5))
        return (
            Sample(cls(), shapes, smooth=False),
            Sample(cls(), shapes, integers={0: 3, 1: 3}, smooth=False),
            Sample(cls(), shapes, integers={1: 2}, smooth=False),
            Sample(cls(), ((2, 3, 4, 5), (2, 5)), smooth=False),
            Sample(cls(), ((2, 7), ()), integers={0: 3, 1: 3}, smooth=False),
            Sample(cls(), ((2, 4, 4, 3), (2, 5, 5, 3)), error="cannot compare [4, 4, 3] and [5, 5, 3]"),
            Sample(cls(), ((2, 4), (2, 4)), booleans=(1,), error="compares numbers, not conditions [4]"),
        )


@dataclass(frozen=True)
class Greater(Comparison):
    """Whether the first is larger, `a > b`.  NumPy greater, ONNX Greater."""

    name: ClassVar[str] = "greater"
    onnx_type: ClassVar[str] = "Greater"


@dataclass(frozen=True)
class GreaterEqual(Comparison):
    """Whether the first is larger or the same, `a >= b`.  NumPy greater_equal, ONNX GreaterOrEqual."""

    name: ClassVar[str] = "greater_equal"
    onnx_type: ClassVar[str] = "GreaterOrEqual"


@dataclass(frozen=True)
class Less(Comparison):
    """Whether the first is smaller, `a < b`.  NumPy less, ONNX Less."""

    name: ClassVar[str] = "less"
    onnx_type: ClassVar[str] = "Less"


@dataclass(frozen=True)
class LessEqual(Comparison):
    """Whether the first is smaller or the same, `a <= b`.  NumPy less_equal, ONNX LessOrEqual."""

    name: ClassVar[str] = "less_equal"
    onnx_type: ClassVar[str] = "LessOrEqual"


@dataclass(frozen=True)
class Equal(Comparison):
    """Whether both are the same, `a == b`.  NumPy equal, ONNX Equal."""

    name: ClassVar[str] = "equal"
    onnx_type: ClassVar[str] = "Equal"


@dataclass(frozen=True)
class NotEqual(Comparison):
    """Whether the two differ, `a != b`; a NaN differs from everything.  NumPy not_equal."""

    name: ClassVar[str] = "not_equal"
    onnx_type: ClassVar[str] = "Equal"

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.node("Not", *super().onnx(m, types, *names)),)
