"""`gather` and its adjoint `scatter_add`: rows chosen by a tensor of indices, constant or computed."""

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

Grads = Sequence[Value | None]


@dataclass(frozen=True)
class Gather(Op):
    """`out[..., i, ...] = x[..., index[i], ...]` along `axis`, 0 where the index is not one of the axis.

    Operands x and index (i64 of any shape, which takes the place of the axis): `numpy.take` with zeros outside.
    """

    name: ClassVar[str] = "gather"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The axis gives way to those of the index."""
        x, index = types
        if index.dtype != "i64":
            raise ShapeError(f"indices are i64, not {index}", operand=1)
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"there is no axis {self.axis} in {x}", operand=0)
        return (TensorType((*x.shape[: self.axis], *index.shape, *x.shape[self.axis + 1 :]), x.dtype),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.take` of an array with a row of zeros behind it."""
        x, index = arrays
        size = x.shape[self.axis]
        widths = [(0, int(a == self.axis)) for a in range(x.ndim)]
        inside = (index >= 0) & (index < size)
        return (np.take(np.pad(x, widths), np.where(inside, index, size), self.axis),)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """`scatter_add`."""
        assert grads[0] is not None
        op = ScatterAdd(self.axis, b.type(inputs[0]).shape[self.axis])
        return [b.add1(op, grads[0], inputs[1]), None]


@dataclass(frozen=True)
class ScatterAdd(Op):
    """`out[..., j, ...]` = the sum of x at the places of `index` that hold j: the adjoint of `gather`.

    Operands x, whose axes from `axis` on begin with those of the index, and index; `size` is that of the new axis.
    Indices outside of it add nothing.  Sums run in the order of the index.
    """

    name: ClassVar[str] = "scatter_add"
    axis: int
    size: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The axes of the index give way to one."""
        x, index = types
        if index.dtype != "i64" or x.dtype != "f32":
            raise ShapeError(f"scatter_add takes f32 and i64, not {x} and {index}", operand=1)
        after = self.axis + index.rank
        if self.axis < 0 or self.size < 0 or x.shape[self.axis : after] != index.shape:
            raise ShapeError(f"the axes of {x} from {self.axis} on are not those of {index}", operand=0)
        return (TensorType((*x.shape[: self.axis], self.size, *x.shape[after:]), x.dtype),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, index = arrays
        lead, rest = x.shape[: self.axis], x.shape[self.axis + index.ndim :]
        out = np.zeros((*lead, self.size, *rest), x.dtype)
        flat = index.reshape(-1)
        inside = (flat >= 0) & (flat < self.size)
        rows = x.reshape(*lead, flat.size, *rest)
        np.add.at(np.moveaxis(out, self.axis, 0), flat[inside], np.moveaxis(rows, self.axis, 0)[inside])
        return (out,)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """`gather`."""
        assert grads[0] is not None
        return [b.add1(Gather(self.axis), grads[0], inputs[1]), None]
