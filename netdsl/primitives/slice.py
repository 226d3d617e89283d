"""Moving data: `reshape`, `concat`, and the affine `slice` with its adjoint `pad`."""

from __future__ import annotations

import itertools
import math
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
class Reshape(Op):
    """The same elements in row-major order under another shape; costs nothing."""

    name: ClassVar[str] = "reshape"
    shape: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The new shape, which must have as many elements."""
        (x,) = types
        if math.prod(self.shape) != x.size or any(s < 0 for s in self.shape):
            raise ShapeError(f"cannot reshape {x} to {list(self.shape)}", operand=0)
        return (TensorType(self.shape, x.dtype),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].reshape(self.shape),)

    @override
    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        assert grads[0] is not None
        return [b.reshape(grads[0], b.type(inputs[0]).shape)]


@dataclass(frozen=True)
class Concat(Op):
    """Operands side by side along `axis`."""

    name: ClassVar[str] = "concat"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """All other sizes must agree; sizes along the axis add up."""
        first, a = types[0], self.axis
        for k, t in enumerate(types):
            same = t.rank == first.rank and t.dtype == first.dtype and 0 <= a < t.rank
            if not same or t.shape[:a] + t.shape[a + 1 :] != first.shape[:a] + first.shape[a + 1 :]:
                raise ShapeError(f"cannot concat {t} with {first} along axis {a}", operand=k)
        total = sum(t.shape[a] for t in types)
        return (TensorType((*first.shape[:a], total, *first.shape[a + 1 :]), first.dtype),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays, self.axis),)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """A slice for each operand."""
        assert grads[0] is not None
        sizes = [b.type(v).shape for v in inputs]
        starts = itertools.accumulate((s[self.axis] for s in sizes), initial=0)
        return [
            b.slice(grads[0], tuple(at if k == self.axis else 0 for k in range(len(s))), s)
            for s, at in zip(sizes, starts, strict=False)
        ]


@dataclass(frozen=True)
class _Affine(Op):
    start: tuple[int, ...]
    step: tuple[int, ...]
    shape: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The shape as set; there are one start, step and size per axis, and no step is 0."""
        (t,) = types
        same = len(self.start) == len(self.step) == len(self.shape) == t.rank
        if not same or 0 in self.step or any(s < 0 for s in self.shape):
            raise ShapeError(f"{self.name} needs a start, a step and a size per axis of {t}", operand=0)
        return (TensorType(self.shape, t.dtype),)

    def places(self, outer: Sequence[int], inner: Sequence[int]) -> tuple[list[Array], list[Array]]:
        """Per axis the indices into the window (`inner`) and into the whole (`outer`) that meet."""
        into, whole = [], []
        for a, d, n, m in zip(self.start, self.step, inner, outer, strict=True):
            at = a + d * np.arange(n)
            ok = (at >= 0) & (at < m)
            into.append(np.flatnonzero(ok))
            whole.append(at[ok])
        return into, whole


@dataclass(frozen=True)
class Slice(_Affine):
    """`out[i] = x[start + i*step]` per axis, 0 outside: slices, crops, zero padding and flips."""

    name: ClassVar[str] = "slice"

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        out = np.zeros(self.shape, arrays[0].dtype)
        into, whole = self.places(arrays[0].shape, self.shape)
        out[np.ix_(*into)] = arrays[0][np.ix_(*whole)]
        return (out,)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """`pad`."""
        assert grads[0] is not None
        return [b.add1(Pad(self.start, self.step, b.type(inputs[0]).shape), grads[0])]


@dataclass(frozen=True)
class Pad(_Affine):
    """`out[start + i*step] = x[i]` per axis, 0 elsewhere: the adjoint of `slice`."""

    name: ClassVar[str] = "pad"

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        out = np.zeros(self.shape, arrays[0].dtype)
        into, whole = self.places(self.shape, arrays[0].shape)
        out[np.ix_(*whole)] = arrays[0][np.ix_(*into)]
        return (out,)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """`slice`."""
        assert grads[0] is not None
        return [b.add1(Slice(self.start, self.step, b.type(inputs[0]).shape), grads[0])]
