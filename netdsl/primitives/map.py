"""`map`: scalar expressions over operands that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType, broadcast_shapes, source_axes
from netdsl.scalar import (
    Arg,
    Expr,
    Index,
    Lit,
    derivative,
    dtype_of_last,
    evaluate,
    product,
    substitute,
    total,
    walk,
)
from netdsl.scalar.operators import Dtype

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder

ZERO = Lit(0.0)


def floating_of(arrays: Sequence[Array]) -> type:
    """The float type a reference computes in: float64 as soon as one operand is."""
    return np.float64 if any(a.dtype == np.float64 for a in arrays) else np.float32


def common_shape(types: Sequence[TensorType], shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The iteration space of operands that broadcast, or `shape` when it is set; raises ShapeError."""
    own = shape or ()
    if any(s < 0 for s in own):
        raise ShapeError(f"{list(own)} is not a shape")
    for k in range(len(types)):
        try:
            own = broadcast_shapes(own, types[k].shape)
        except ValueError:
            raise ShapeError(f"{types[k]} does not broadcast with {list(own)}", operand=k) from None
    if shape is not None and own != shape:
        raise ShapeError(f"operands of shape {list(own)} do not broadcast to {list(shape)}")
    return own


def check_expr(e: Expr, types: Sequence[TensorType], rank: int) -> TensorType:
    """The scalar type of an expression over the operands; raises ShapeError when it makes no sense."""
    return TensorType((), _checked(e, tuple([t.dtype for t in types]), rank))


@lru_cache(maxsize=8192)  # passes ask again for each node that they change
def _checked(e: Expr, dtypes: tuple[Dtype, ...], rank: int) -> Dtype:
    parts = walk(e)
    try:
        dtype = dtype_of_last(parts, dtypes)
    except TypeError as error:
        raise ShapeError(str(error)) from None
    if any(type(x) is Index and not 0 <= x.axis < rank for x in parts):
        raise ShapeError(f"the expression uses an axis outside of rank {rank}")
    return dtype


@dataclass(frozen=True)
class Map(Op):
    """One result per expression: `out[i] = expr(x0[i], x1[i], ...)`, operands broadcast as in NumPy.

    `shape` fixes the result's shape; without it, it is the broadcast of the operands.
    """

    name: ClassVar[str] = "map"
    exprs: tuple[Expr, ...]
    shape: tuple[int, ...] | None = None

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The broadcast shape, the type of each expression."""
        shape = common_shape(types, self.shape)
        return tuple(TensorType(shape, check_expr(e, types, len(shape)).dtype) for e in self.exprs)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Each expression evaluated over whole arrays."""
        shape = self.shape if self.shape is not None else broadcast_shapes(*(a.shape for a in arrays))
        floating = floating_of(arrays)
        return tuple(np.array(evaluate(e, arrays, shape, floating)) for e in self.exprs)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """Another map, summed over the axes along which the operand was repeated."""
        n, m = len(inputs), len(outputs)
        pool = [*inputs, *outputs, *(g if g is not None else outputs[0] for g in grads)]
        out: list[Value | None] = []
        for k, value in enumerate(inputs):
            found: Expr = ZERO
            for r, e in enumerate(self.exprs):
                if grads[r] is not None:
                    found = total(found, product(Arg(n + m + r), derivative(e, k, Arg(n + r))))
            out.append(gradient_value(b, found, pool, value, b.type(outputs[0]).shape))
        return out


def gradient_value(
    b: PrimitiveBuilder, e: Expr, pool: Sequence[Value], operand: Value, space: tuple[int, ...]
) -> Value | None:
    """The value of `e` over `pool` in the iteration space `space`, summed to the shape of `operand`."""
    t = b.type(operand)
    if e == ZERO or t.dtype != "f32":
        return None
    expr, used = prune(e, pool)
    axes = source_axes(t.shape, space)
    if not axes:
        return b.map_expr(expr, *used, shape=space)
    summed = b.reduce_expr("sum", expr, *used, axes=axes, shape=space)
    return b.reshape(summed, t.shape)


def prune(e: Expr, operands: Sequence[Value]) -> tuple[Expr, tuple[Value, ...]]:
    """The expression renumbered over the operands it really uses, each once."""
    order: dict[Value, int] = {}

    def leaf(x: Expr) -> Expr | None:
        if isinstance(x, Arg):
            return Arg(order.setdefault(operands[x.index], len(order)))
        return None

    return substitute(e, leaf), tuple(order)
