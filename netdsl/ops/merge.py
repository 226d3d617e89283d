"""Ops that merge branches: arithmetic and `concat`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from netdsl.ir import Sample, ShapeError, TensorType, Value, broadcast_shapes
from netdsl.ir.op import Array
from netdsl.ops.axes import place_of
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import integer
from netdsl.ops.spatial import axis_name
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr


def spread(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """`[N, C]` as `[N, 1, ..., 1, C]`, so that a vector per sample broadcasts over a map; others as they are."""
    if len(shape) == 2 < rank:
        return (shape[0], *(1,) * (rank - 2), shape[1])
    return shape


def mend(shape: tuple[int, ...], other: tuple[int, ...]) -> str | None:
    """What would give a map `[N, *S, C]` the sizes of another, in words, where one setting would do."""
    if len(shape) != len(other) or len(shape) < 3:
        return None
    pairs = list(zip(shape[1:-1], other[1:-1], strict=True))
    if all(a == b for a, b in pairs):
        return f"conv({other[-1]}, 1) gives it {other[-1]} channels"
    if any(a > b for a, b in pairs):
        steps = {-(-a // b) for a, b in pairs}
        step = steps.pop()
        fits = not steps and step > 1 and all(-(-a // step) == b for a, b in pairs)
        return f"did you mean stride = {step}?" if fits else None
    strided = all(2 * a <= b + 1 for a, b in pairs)
    return "did you mean stride = 1?" if strided else "did you mean pad = same?"


@dataclass(frozen=True)
class Arithmetic(LibraryOp):
    """Base: an operation on elements, operands broadcast.

    Shapes may differ where one has size 1; a vector per sample `[C]` broadcasts over the map `[*S, C]` of another
    operand, a number over anything.
    """

    operands: ClassVar[int | None] = None

    def scalar(self, x: Expr, y: Expr) -> Expr:
        """The operation on one pair of elements."""
        raise NotImplementedError(f"{self.name} has no expression")

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The broadcast shape."""
        if not types or (self.operands is not None and len(types) != self.operands):
            raise ShapeError(f"{self.name} takes {self.operands or 'one or more'} operands, not {len(types)}")
        rank = max(t.rank for t in types)
        shape: tuple[int, ...] = ()
        for k, t in enumerate(types):
            if t.dtype != "f32":
                raise ShapeError(f"{self.name} takes numbers, not {t}", operand=k)
            try:
                if t.rank not in (0, 2, rank):
                    raise ValueError(f"rank {t.rank} does not broadcast to rank {rank}")
                shape = broadcast_shapes(shape, spread(t.shape, rank))
            except ValueError:
                message = f"cannot {self.name} {list(types[0].shape[1:])} and {list(t.shape[1:])}"
                raise ShapeError(message, operand=k, hint=mend(t.shape, types[0].shape)) from None
        return (TensorType(shape),)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The sizes that broadcast."""
        if types[0].shape == result.shape:
            return ()
        shapes = [(1,) * (result.rank - t.rank) + spread(t.shape, result.rank) for t in types]
        sizes = [(axis_name(at, result.rank), [s[at] for s in shapes]) for at in range(1, result.rank)]
        return [
            f"{name}: {' and '.join(map(str, ns))} broadcast to {max(ns)}"
            for name, ns in sizes
            if len(set(ns)) > 1
        ]

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map over all operands."""
        rank = max(b.type(v).rank for v in values)
        aligned = [b.reshape(v, spread(b.type(v).shape, rank)) for v in values]
        return (b.map(lambda *xs: functools.reduce(self.scalar, xs), *aligned),)

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """One operation per element and further operand."""
        return (len(types) - 1) * self.infer(*types)[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`Add`, `Sub`, `Mul` or `Div`, operands aligned."""
        rank = max(t.rank for t in types)
        aligned = [
            x if spread(t.shape, rank) == t.shape else m.node("Reshape", x, m.const(spread(t.shape, rank)))
            for x, t in zip(names, types, strict=True)
        ]
        return (functools.reduce(functools.partial(m.node, self.name.capitalize()), aligned),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """NumPy's operation, from left to right."""
        rank = max(a.ndim for a in arrays)
        aligned = [a.reshape(spread(a.shape, rank)) for a in arrays]
        ufunc = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}[self.name]
        return (np.asarray(functools.reduce(ufunc, aligned)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Same shapes, a vector over a map, a single channel, a number, maps that do not fit."""
        return (
            Sample(cls(), ((2, 3, 4, 5), (2, 3, 4, 5)), low=0.5, high=2.0),
            Sample(cls(), ((2, 3, 4, 5), (2, 5)), low=0.5, high=2.0),
            Sample(cls(), ((2, 3, 4, 1), (2, 3, 4, 5)), low=0.5, high=2.0),
            Sample(cls(), ((2, 3), ()), low=0.5, high=2.0),
            Sample(cls(), ((2, 4, 4, 3), (2, 5, 5, 3)), error=f"cannot {cls.name} [4, 4, 3] and [5, 5, 3]"),
            Sample(cls(), ((3, 3, 4, 5), (3, 4, 5)), error=f"cannot {cls.name} [3, 4, 5] and [4, 5]"),
        )


@dataclass(frozen=True)
class Add(Arithmetic):
    """The sum of all operands.  ResNet's shortcut, He et al. 2015."""

    name: ClassVar[str] = "add"

    def scalar(self, x: Expr, y: Expr) -> Expr:
        """`x + y`."""
        return x + y

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Those of all arithmetic, one and three operands."""
        return (*super().samples(), Sample(cls(), ((2, 3),)), Sample(cls(), ((2, 3), (2, 3), (2, 3))))


@dataclass(frozen=True)
class Mul(Arithmetic):
    """The product of all operands, such as a map and its channel weights (Hu et al. 2017)."""

    name: ClassVar[str] = "mul"

    def scalar(self, x: Expr, y: Expr) -> Expr:
        """`x * y`."""
        return x * y


@dataclass(frozen=True)
class Sub(Arithmetic):
    """The difference of two operands."""

    name: ClassVar[str] = "sub"
    operands: ClassVar[int | None] = 2

    def scalar(self, x: Expr, y: Expr) -> Expr:
        """`x - y`."""
        return x - y


@dataclass(frozen=True)
class Div(Arithmetic):
    """The quotient of two operands."""

    name: ClassVar[str] = "div"
    operands: ClassVar[int | None] = 2

    def scalar(self, x: Expr, y: Expr) -> Expr:
        """`x / y`."""
        return x / y


@dataclass(frozen=True)
class Concat(LibraryOp):
    """Operands side by side, by default along the channels.  Szegedy et al. 2014, Huang et al. 2016."""

    name: ClassVar[str] = "concat"
    operands: ClassVar[int | None] = None
    axis: int = setting("axis of the shape without the batch; -1 is the channels", -1, integer)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Sizes add up along the axis and agree elsewhere."""
        if not types:
            raise ShapeError("concat takes one or more operands, not 0")
        first, at = types[0], place_of(self.axis, types[0].rank)
        rest = [t.shape[:at] + t.shape[at + 1 :] for t in types]
        # Where most operands agree, the one that differs is to blame, be it the first.
        model = types[rest.index(max(rest, key=rest.count))]
        along = "channels" if at == first.rank - 1 else f"axis {at - 1}"
        for k, t in enumerate(types):
            if rest[k] != model.shape[:at] + model.shape[at + 1 :]:
                message = f"cannot concat {list(model.shape[1:])} with {list(t.shape[1:])} along {along}"
                raise ShapeError(message, operand=k, hint=mend(t.shape, model.shape))
            if t.dtype != "f32":
                raise ShapeError(f"concat takes numbers, not {t}", operand=k)
        return (TensorType((*first.shape[:at], sum(t.shape[at] for t in types), *first.shape[at + 1 :])),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One primitive, or nothing for one operand."""
        if len(values) == 1:
            return values
        return (b.concat(values, place_of(self.axis, b.type(values[0]).rank)),)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The sizes that add up."""
        at = place_of(self.axis, result.rank)
        return [
            f"{axis_name(at, result.rank)}: {' + '.join(str(t.shape[at]) for t in types)} = {result.shape[at]}"
        ]

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """None."""
        return 0

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`Concat`."""
        return (m.node("Concat", *names, axis=place_of(self.axis, types[0].rank)),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.concatenate`."""
        return (np.concatenate(arrays, place_of(self.axis, arrays[0].ndim)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and another axis, one to three operands, heights that differ."""
        return (
            Sample(cls(), ((2, 3, 4, 5), (2, 3, 4, 1), (2, 3, 4, 9))),
            Sample(cls(axis=0), ((2, 3, 4, 5), (2, 2, 4, 5))),
            Sample(cls(), ((2, 3),)),
            Sample(cls(), ((2, 3, 3, 4), (2, 4, 3, 4)), error="cannot concat [3, 3, 4] with [4, 3, 4]"),
            Sample(cls(axis=3), ((2, 3), (2, 3)), error="there is no axis 3"),
            Sample(cls(), ((2, 5), (2, 5)), integers={1: 4}, error="concat takes numbers, not i64"),
        )
