"""`reduce`: the sum, product, maximum or minimum of a scalar expression over axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType
from netdsl.primitives.map import check_expr, common_shape, floating_of, gradient_value
from netdsl.scalar import Arg, Expr, cast_float, eq, evaluate, partial, product, where

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder

REDUCTIONS = ("sum", "max", "min")


@dataclass(frozen=True)
class Reduce(Op):
    """`out = sum | max | min of expr(x0, x1, ...)` over `axes` of the operands' common space.

    `keepdims` leaves the reduced axes with size 1; `shape` fixes the space where operands alone do not.
    """

    name: ClassVar[str] = "reduce"
    kind: str
    expr: Expr
    axes: tuple[int, ...]
    keepdims: bool = False
    shape: tuple[int, ...] | None = None

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The common shape without (or with size 1 for) the reduced axes."""
        if self.kind not in REDUCTIONS:
            raise ShapeError(f"no reduction is called {self.kind}")
        space = common_shape(types, self.shape)
        if list(self.axes) != sorted(set(self.axes)) or any(not 0 <= a < len(space) for a in self.axes):
            raise ShapeError(f"axes {self.axes} are not ascending axes of rank {len(space)}")
        if self.kind != "sum" and any(space[a] == 0 for a in self.axes):
            raise ShapeError(f"{self.kind} over an axis of size 0")
        dtype = check_expr(self.expr, types, len(space)).dtype
        if self.kind == "sum" and dtype == "bool":
            raise ShapeError("a sum takes numbers; truth values are numbers after cast_float or cast_int")
        return (TensorType(self._result(space), dtype),)

    def _result(self, space: tuple[int, ...]) -> tuple[int, ...]:
        if self.keepdims:
            return tuple(1 if k in self.axes else s for k, s in enumerate(space))
        return tuple(s for k, s in enumerate(space) if k not in self.axes)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """NumPy's reduction of the evaluated expression."""
        space = np.broadcast_shapes(self.shape or (), *(a.shape for a in arrays))
        values = evaluate(self.expr, arrays, space, floating_of(arrays))
        out = getattr(np, self.kind)(values, axis=self.axes, keepdims=self.keepdims)
        return (np.asarray(out, values.dtype if values.dtype.kind == "f" else None),)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """The gradient spread back; for max and min to the elements that attain it, in equal parts."""
        (grad,) = grads
        assert grad is not None
        space = common_shape([b.type(v) for v in inputs], self.shape)
        kept = tuple(1 if k in self.axes else s for k, s in enumerate(space))
        pool = [*inputs, b.reshape(grad, kept)]
        g: Expr = Arg(len(inputs))
        if self.kind != "sum":
            result = b.reshape(outputs[0], kept)
            hit = eq(self.expr, Arg(len(inputs)))
            count = b.reduce_expr(
                "sum", cast_float(hit), *inputs, result, axes=self.axes, keepdims=True, shape=space
            )
            pool += [result, count]
            g = where(eq(self.expr, Arg(len(inputs) + 1)), g / Arg(len(inputs) + 2), 0.0)
        return [
            gradient_value(b, product(g, partial(self.expr, k)), pool, v, space) for k, v in enumerate(inputs)
        ]
