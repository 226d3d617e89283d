"""`transpose`: the axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder


@dataclass(frozen=True)
class Transpose(Op):
    """Axis k of the result is axis `order[k]` of the operand: `numpy.transpose`, ONNX Transpose."""

    name: ClassVar[str] = "transpose"
    order: tuple[int, ...]

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        if sorted(self.order) != list(range(x.rank)):
            raise ShapeError(f"{list(self.order)} is not an order of the axes of {x}", operand=0)
        return (TensorType(tuple(x.shape[a] for a in self.order), x.dtype),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.ascontiguousarray(arrays[0].transpose(self.order)),)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """The inverse transpose."""
        assert grads[0] is not None
        return [b.transpose(grads[0], tuple(self.order.index(k) for k in range(len(self.order))))]
