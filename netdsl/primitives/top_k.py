"""`top_k`: the indices of the largest elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder


@dataclass(frozen=True)
class TopK(Op):
    """The indices of the `count` largest elements along the last axis: `f32[..., n] -> i64[..., count]`.

    They are in falling order of the elements, of equal ones the first comes first; a NaN is larger than any number,
    as in NumPy's sort.
    """

    name: ClassVar[str] = "top_k"
    count: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """`count` in the place of the last axis."""
        (x,) = types
        if x.dtype != "f32" or x.rank < 1:
            raise ShapeError(f"top_k takes f32 with an axis, not {x}", operand=0)
        if not 1 <= self.count <= x.shape[-1]:
            raise ShapeError(f"cannot take {self.count} elements along the last axis of {x}", operand=0)
        return (TensorType((*x.shape[:-1], self.count), "i64"),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """A stable sort from the end, read from the end."""
        (x,) = arrays
        rising = np.argsort(x[..., ::-1], axis=-1, kind="stable")
        return (np.ascontiguousarray(x.shape[-1] - 1 - rising[..., ::-1][..., : self.count]),)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """No gradient: indices are integers."""
        return [None]
