"""Ops that merge branches: arithmetic and `concat`."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.axes import place_of
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.broadcast import Broadcast, mend
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import integer
from netdsl.ops.spatial import axis_name
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr

PAIRS: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}


@dataclass(frozen=True)
class Arithmetic(Broadcast):
    """Base: an operation on pairs of elements, from left to right over all operands."""

    operands: ClassVar[int | None] = None

    @override
    def scalar(self, *operands: Expr) -> Expr:
        return functools.reduce(PAIRS[self.name], operands)

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        aligned = self.onnx_aligned(m, types, names)
        return (functools.reduce(functools.partial(m.node, self.name.capitalize()), aligned),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """NumPy's operation, from left to right."""
        ufunc = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}[self.name]
        return (np.asarray(functools.reduce(ufunc, self.aligned(arrays))),)

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
    verb: ClassVar[str] = "add"

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Those of all arithmetic, one and three operands."""
        return (*super().samples(), Sample(cls(), ((2, 3),)), Sample(cls(), ((2, 3), (2, 3), (2, 3))))


@dataclass(frozen=True)
class Mul(Arithmetic):
    """The product of all operands, such as a map and its channel weights (Hu et al. 2017)."""

    name: ClassVar[str] = "mul"
    verb: ClassVar[str] = "mul"


@dataclass(frozen=True)
class Sub(Arithmetic):
    """The difference of two operands."""

    name: ClassVar[str] = "sub"
    verb: ClassVar[str] = "sub"
    operands: ClassVar[int | None] = 2


@dataclass(frozen=True)
class Div(Arithmetic):
    """The quotient of two operands."""

    name: ClassVar[str] = "div"
    verb: ClassVar[str] = "div"
    operands: ClassVar[int | None] = 2


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
        for k, t in enumerate(types):
            if t.rank != first.rank:
                message = (
                    f"cannot concat {list(first.shape[1:])} with {list(t.shape[1:])}: their ranks differ"
                )
                raise ShapeError(message, operand=k)
        rest = [t.shape[:at] + t.shape[at + 1 :] for t in types]
        # If most operands agree, the error is at the one that differs, even if it is the first.
        model = types[rest.index(Counter(rest).most_common(1)[0][0])]
        along = "channels" if at == first.rank - 1 else f"axis {at - 1}"
        for k, t in enumerate(types):
            if rest[k] != model.shape[:at] + model.shape[at + 1 :]:
                message = f"cannot concat {list(model.shape[1:])} with {list(t.shape[1:])} along {along}"
                raise ShapeError(message, operand=k, hint=mend(t.shape, model.shape))
            self.check_numbers(t, k)
        return (TensorType((*first.shape[:at], sum(t.shape[at] for t in types), *first.shape[at + 1 :])),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One primitive, or nothing for one operand."""
        if len(values) == 1:
            return values
        return (b.concat(values, place_of(self.axis, b.type(values[0]).rank)),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        at = place_of(self.axis, result.rank)
        return [
            f"{axis_name(at, result.rank)}: {' + '.join(str(t.shape[at]) for t in types)} = {result.shape[at]}"
        ]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.node("Concat", *names, axis=place_of(self.axis, types[0].rank)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays, place_of(self.axis, arrays[0].ndim)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and another axis, one to three operands, heights that differ."""
        return (
            Sample(cls(), ((2, 3, 4, 5), (2, 3, 4, 1), (2, 3, 4, 9))),
            Sample(cls(axis=0), ((2, 3, 4, 5), (2, 2, 4, 5))),
            Sample(cls(), ((2, 3),)),
            Sample(cls(), ((2, 3, 3, 4), (2, 4, 3, 4)), error="cannot concat [3, 3, 4] with [4, 3, 4]"),
            Sample(cls(), ((2, 5), (2,)), error="cannot concat [5] with []: their ranks differ"),
            Sample(cls(axis=3), ((2, 3), (2, 3)), error="there is no axis 3"),
            Sample(cls(), ((2, 5), (2, 5)), integers={1: 4}, error="concat takes numbers, not labels"),
        )
