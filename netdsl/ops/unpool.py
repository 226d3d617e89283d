"""`max_unpool`: puts cells back to the places of the maxima of a pool."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.border import with_border
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.spatial import axis_names, per_axis, sizes, spatial_rank
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.first import first_place, place_along
from netdsl.scalar import Arg, eq, logical_or, ne, where


@dataclass(frozen=True)
class MaxUnpool(LibraryOp):
    """Cells go to where another map has the maximum of their window, all else is 0: `(x, map) -> max_unpool(2)`.

    Undoes `map -> max_pool(size)` but for what it threw away: `[*O, C], [*S, C] -> [*S, C]`.  The first of several
    maxima counts.  Zeiler and Fergus 2013; SegNet, Badrinarayanan et al. 2015; PyTorch MaxUnpool, where the
    indices come from the pool.
    """

    name: ClassVar[str] = "max_unpool"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    operands: ClassVar[int | None] = 2
    seen_operands: ClassVar[int | None] = 1
    size: int | tuple[int, ...] = setting("size of the window of the pool, or one per axis", check=sizes)

    def windows(self, before: TensorType) -> tuple[int, ...]:
        """The size of the window along each spatial axis."""
        return per_axis("size", self.size, spatial_rank(self.name, before))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The map that was pooled."""
        x, before = types
        pooled = (n // k for n, k in zip(before.shape[1:-1], self.windows(before), strict=True))
        expected = (before.shape[0], *pooled, before.shape[-1])
        if x.shape != expected or x.dtype != "f32":
            message = f"{list(before.shape[1:])} is pooled to {list(expected[1:])}, not {list(x.shape[1:])}"
            raise ShapeError(message, operand=0)
        return (before,)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The place of the first maximum within each window, and a map that keeps cells at their place."""
        x, before = values
        n, *spatial, c = b.type(before).shape
        size, out = self.windows(b.type(before)), b.type(x).shape[1:-1]
        whole = tuple(o * k for o, k in zip(out, size, strict=True))
        windows = (n, *itertools.chain(*zip(out, size, strict=True)), c)
        cells = b.reshape(b.slice(before, (0,) * (2 + len(size)), (n, *whole, c)), windows)
        inner = range(2, 2 + 2 * len(size), 2)
        place, top = place_along(inner, size), b.max(cells, inner, keepdims=True)
        largest = logical_or(eq(Arg(0), Arg(1)), ne(Arg(0), Arg(0)))
        first = first_place(b, largest, (cells, top), place, inner)
        ones = (n, *itertools.chain(*((o, 1) for o in out)), c)
        kept = b.map_expr(where(eq(Arg(1), place), Arg(0), 0.0), b.reshape(x, ones), first, shape=windows)
        rest = tuple((0, s - w) for s, w in zip(spatial, whole, strict=True))
        return (with_border(b, b.reshape(kept, (n, *whole, c)), rest, "zeros"),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cell of the smaller map that lies under it."""
        return tuple(Reach(unit=k) for k in self.windows(types[1]))

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The map that was pooled."""
        axes = zip(axis_names(result.rank - 2), result.shape[1:-1], strict=True)
        return [f"{name}: {n}, as before the pool" for name, n in axes]

    def published_flops(self, *types: TensorType) -> int:
        """Two comparisons per cell of the larger map, to find and to use its place: Badrinarayanan et al. 2015."""
        return 2 * types[1].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`ArgMax` of the cells of each window and `OneHot`; None where windows leave cells over."""
        x, before = types
        size, out = self.windows(before), x.shape[1:-1]
        if any(n % k for n, k in zip(before.shape[1:-1], size, strict=True)):
            return None
        dims, count = len(size), math.prod(size)
        split = (before.shape[0], *itertools.chain(*zip(out, size, strict=True)), before.shape[-1])
        order = (0, *range(1, 2 * dims, 2), 1 + 2 * dims, *range(2, 1 + 2 * dims, 2))
        cells = m.transpose(m.node("Reshape", names[1], m.const(split)), order)
        first = m.node("ArgMax", m.node("Reshape", cells, m.const((*x.shape, count))), axis=-1, keepdims=0)
        chosen = m.node("OneHot", first, m.const(np.array(count)), m.const(np.array([0.0, 1.0])))
        kept = m.node("Mul", m.node("Unsqueeze", names[0], m.const((-1,))), chosen)
        back = m.transpose(m.node("Reshape", kept, m.const((*x.shape, *size))), np.argsort(order).tolist())
        return (m.node("Reshape", back, m.const(before.shape)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, before = arrays
        y = np.zeros(before.shape, x.dtype)
        size = self.windows(TensorType(before.shape))
        for n, *at, c in np.ndindex(x.shape):
            cut = tuple(slice(o * k, o * k + k) for o, k in zip(at, size, strict=True))
            window = before[(n, *cut, c)]
            y[(n, *cut, c)][np.unravel_index(window.argmax(), window.shape)] = x[(n, *at, c)]
        return (y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """1-D to 3-D, sizes per axis, cells left over, equal maxima, a map of another size."""
        return (
            Sample(cls(2), ((2, 3, 2, 5), (2, 6, 4, 5))),
            Sample(cls((3, 2)), ((1, 2, 3, 9), (1, 6, 6, 9))),
            Sample(cls(2), ((2, 2, 3, 3), (2, 5, 7, 3))),
            Sample(cls(3), ((2, 4, 2), (2, 12, 2))),
            Sample(cls(2), ((1, 2, 1, 2, 3), (1, 4, 2, 4, 3))),
            Sample(cls(2), ((1, 3, 3, 2), (1, 6, 6, 2)), low=0.5, high=0.5, smooth=False),
            Sample(cls(2), ((1, 3, 3, 2), (1, 8, 6, 2)), error="is pooled to [4, 3, 2], not [3, 3, 2]"),
        )
