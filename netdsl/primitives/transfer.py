"""`transfer`: the same elements in the memory of another GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array
from netdsl.compat import override
from netdsl.ir.graph import Value
from netdsl.ir.op import Op
from netdsl.ir.types import TensorType

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder


@dataclass(frozen=True)
class Transfer(Op):
    """A copy of the operand on the GPU of the node: PyTorch's `Tensor.to`, JAX's `device_put`."""

    name: ClassVar[str] = "transfer"

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        return (x,)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].copy(),)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """The gradient, which goes back to where the operand is."""
        assert grads[0] is not None
        with b.on(b.nodes[inputs[0].node].gpu):
            return [b.add1(Transfer(), grads[0])]
