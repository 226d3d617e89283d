"""Ops that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.primitives import PrimitiveBuilder
from netdsl.source import counted


@dataclass(frozen=True)
class _Shape(LibraryOp):
    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        return (b.reshape(x, self.infer(b.type(x))[0].shape),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        before, after = (" * ".join(map(str, t.shape[1:])) for t in (types[0], result))
        between = f"{types[0].size // types[0].shape[0]} = " if min(types[0].rank, result.rank) > 2 else ""
        return [f"{before} = {between}{after}"]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.node("Reshape", *names, m.const(self.infer(*types)[0].shape)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        return (x.reshape(self.infer(TensorType(x.shape))[0].shape),)


@dataclass(frozen=True)
class Flatten(_Shape):
    """All axes but the batch in one, row-major: `[H, W, C] -> [H * W * C]`."""

    name: ClassVar[str] = "flatten"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`[N, product]`."""
        (x,) = types
        return (TensorType((x.shape[0], math.prod(x.shape[1:])), x.dtype),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (Sample(cls(), ((2, 3, 4, 5),)), Sample(cls(), ((3, 7),)))


def _target(value: Any) -> tuple[int, ...]:
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if any(isinstance(v, bool) or not isinstance(v, int) or (v < 1 and v != -1) for v in entries):
        raise ValueError(f"must be sizes, one of which may be -1, not {value!r}")
    if entries.count(-1) > 1:
        raise ValueError("may leave one size open with -1, not more")
    return entries


@dataclass(frozen=True)
class Reshape(_Shape):
    """The same elements in row-major order under another shape; -1 is worked out."""

    name: ClassVar[str] = "reshape"
    positional: ClassVar[tuple[str, ...]] = ("shape",)
    shape: tuple[int, ...] = setting("the new shape, without the batch", check=_target)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The new shape, which must have as many elements."""
        (x,) = types
        total, known = math.prod(x.shape[1:]), math.prod(s for s in self.shape if s != -1)
        shape = tuple(total // known if s == -1 else s for s in self.shape)
        if math.prod(shape) != total:
            message = f"cannot reshape {list(x.shape[1:])} to {list(self.shape)}: {counted(total, 'element')}"
            raise ShapeError(message, operand=0)
        return (TensorType((x.shape[0], *shape), x.dtype),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Split and join axes, an open size, sizes that do not fit."""
        return (
            Sample(cls((4, 3)), ((2, 12),)),
            Sample(cls((-1, 2)), ((2, 3, 4),)),
            Sample(cls((5,)), ((2, 3, 4),), error="cannot reshape [3, 4] to [5]"),
            Sample(cls((5, -1)), ((2, 3, 4),), error="cannot reshape [3, 4] to [5, -1]"),
        )
