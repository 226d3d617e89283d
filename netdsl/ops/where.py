"""`where`: one of two elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType
from netdsl.ops.broadcast import Broadcast
from netdsl.ops.onnx import OnnxBuilder
from netdsl.scalar import Expr, where


@dataclass(frozen=True)
class Where(Broadcast):
    """`where(condition, a, b)`: elements of `a` where the condition holds, else of `b`; operands broadcast.

    The gradient of an element goes to the operand it comes from, so what is not chosen may be infinite.
    NumPy where, PyTorch where, ONNX Where.
    """

    name: ClassVar[str] = "where"
    operands: ClassVar[int | None] = 3

    @override
    def scalar(self, *operands: Expr) -> Expr:
        condition, x, y = operands
        return where(condition, x, y)

    def check(self, types: Sequence[TensorType]) -> None:
        """Raise ShapeError unless there are a condition and numbers."""
        condition, *numbers = types
        if condition.dtype != "bool":
            message = f"where takes a condition, not {condition.words}"
            raise ShapeError(message, operand=0, hint="a comparison is one: where(x > 0, x, y)")
        for k, t in enumerate(numbers):
            self.check_numbers(t, 1 + k)

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.node("Where", *self.onnx_aligned(m, types, names)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.where(*self.aligned(arrays)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Same shapes, each operand repeated, numbers, an operand that is not a condition."""
        map_, one, vector = (2, 3, 4, 5), (2, 3, 4, 1), (2, 5)
        cases = (
            (map_, map_, map_),
            (one, map_, vector),
            (vector, map_, ()),
            (map_, (), map_),
            (map_, (), ()),
        )
        good = tuple(Sample(cls(), shapes, booleans=(0,)) for shapes in cases)
        return (
            *good,
            Sample(cls(), (vector, vector, vector), error="where takes a condition, not numbers [5]"),
            Sample(
                cls(), (vector, vector, vector), booleans=(0, 1), error="takes numbers, not conditions [5]"
            ),
            Sample(cls(), (vector, (2, 4), vector), booleans=(0,), error="cannot broadcast [5] and [4]"),
        )
