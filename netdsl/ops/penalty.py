"""Penalties: sums over weights, added to a loss to keep weights small or sparse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, absolute


def _pattern(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise ValueError(f'must be the name of a layer or a pattern such as "stage*.conv1", not {value!r}')
    return None if value is None else str(value)


@dataclass(frozen=True)
class Penalty(LibraryOp):
    """Base: the sum of an expression over all elements of the operands, which are weights."""

    positional: ClassVar[tuple[str, ...]] = ("of",)
    operands: ClassVar[int | None] = None
    takes_weights: ClassVar[bool] = True
    of: str | None = setting(
        'layers or weights, a name or a pattern such as "stage*.conv1"; default: all that decay',
        None,
        _pattern,
    )

    def scalar(self, w: Expr) -> Expr:
        """What one weight adds."""
        raise NotImplementedError(f"{self.name} has no expression")

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if not types or any(t.dtype != "f32" for t in types):
            raise ShapeError(f"{self.name} takes weights", operand=0)
        return (TensorType(()),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A reduction for each weight, added up."""
        sums = [b.reduce("sum", self.scalar, v, axes=range(b.type(v).rank)) for v in values]
        return (reduce(lambda x, y: b.map(lambda p, q: p + q, x, y), sums),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return ["one number for all weights"]

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (
            Sample(cls(), ((3, 4),)),
            Sample(cls(), ((3, 3, 2, 5), (5,), (7, 9))),
            Sample(cls(), ((3, 4),), integers={0: 4}, error="takes weights"),
        )


@dataclass(frozen=True)
class L1(Penalty):
    """The sum of `|w|` over the weights, which makes many of them 0: `+ 1e-5 * l1(weights)` in a loss.

    Tibshirani 1996; Keras L1.  The derivative at 0 is 0.
    """

    name: ClassVar[str] = "l1"

    @override
    def scalar(self, w: Expr) -> Expr:
        return absolute(w)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(sum(np.abs(a).sum() for a in arrays)),)


@dataclass(frozen=True)
class L2(Penalty):
    """The sum of `w^2` over the weights, which keeps them small: `+ 1e-4 * l2(weights)` in a loss.

    Keras L2.  A `weight_decay` of SGD is twice the factor: `1e-4 * l2(weights)` is `weight_decay = 2e-4`.
    """

    name: ClassVar[str] = "l2"

    @override
    def scalar(self, w: Expr) -> Expr:
        return w * w

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(sum(np.square(a).sum() for a in arrays)),)
