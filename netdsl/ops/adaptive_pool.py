"""Pools to a map of a given size: the windows follow from it, and need not be equal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.pool import onnx_windows
from netdsl.ops.spatial import axis_names, per_axis, sizes, spatial_rank
from netdsl.primitives import PrimitiveBuilder, ReduceWindow

MAX_ROWS = 2**22
"""Cells of all windows along an axis where they are not equal: a table says where each is taken from."""


@dataclass(frozen=True)
class _AdaptivePool(LibraryOp):
    """Base: cell k of an axis pools the cells from floor(k * in / out) to before ceil((k + 1) * in / out).

    Where the windows are not equal the cells of each are laid side by side, as many as the largest has, and pooled.
    """

    kind: ClassVar[str] = "max"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    size: int | tuple[int, ...] = setting("size of the result, or one per spatial axis", check=sizes)

    def out_size(self, x: TensorType) -> tuple[int, ...]:
        """The spatial size of the result."""
        return per_axis("size", self.size, spatial_rank(self.name, x))

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        out = self.out_size(x)
        if not all(x.shape[1:-1]):
            raise ShapeError(f"{self.name} takes maps with cells, not {list(x.shape[1:])}", operand=0)
        for n, o in zip(x.shape[1:-1], out, strict=True):
            if n % o and o * _widest(n, o) > MAX_ROWS:
                message = (
                    f"the windows of {o:_} over {n:_} cells have more than {MAX_ROWS:_} cells, the limit"
                )
                raise ShapeError(message, operand=0, hint="a size that divides the map has no limit")
        return (TensorType((x.shape[0], *out, x.shape[-1])),)

    def pool(self, x: TensorType) -> ReduceWindow:
        """The primitive over cells that are laid side by side, or over the map where windows are equal."""
        axes = zip(x.shape[1:-1], self.out_size(x), strict=True)
        widths = tuple(_widest(n, out) for n, out in axes)
        none = (0,) * len(widths)
        return ReduceWindow(self.kind, widths, widths, ((0, 0),) * len(widths), (1,) * len(widths), none)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Rows taken where windows are not equal, and windows."""
        (x,) = values
        t = b.type(x)
        for axis, (n, out) in enumerate(zip(t.shape[1:-1], self.out_size(t), strict=True), 1):
            if n % out:
                x = b.gather(x, self._rows(b, n, out), axis)
        return (self.corrected(b, b.add1(self.pool(t), x), t),)

    def _rows(self, b: PrimitiveBuilder, size: int, out: int) -> Value:
        t = TensorType((out * _widest(size, out),), "i64")
        return b.table(t, lambda: self.cells(size, out).ravel())

    def cells(self, size: int, out: int) -> Array:
        """The cells of each window of an axis, `[out, widest]`; beyond a shorter one its last cell again."""
        first, last = _ends(size, out)
        return np.asarray(np.minimum(first[:, None] + np.arange(_widest(size, out)), last[:, None] - 1))

    def corrected(self, b: PrimitiveBuilder, y: Value, x: TensorType) -> Value:
        """What is pooled, as if each window had its own size."""
        return y

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cells from the first on; the largest window stands for all."""
        axes = zip(types[0].shape[1:-1], result.shape[1:-1], strict=True)
        return tuple(Reach(_widest(n, out), n, out, unit=out) for n, out in axes)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        axes = zip(axis_names(result.rank - 2), types[0].shape[1:-1], result.shape[1:-1], strict=True)
        return [f"{name}: {n} becomes {o}, as set" for name, n, o in axes]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """A pool of equal windows, behind `Gather` where they are not equal."""
        (t,), y = types, names[0]
        for axis, (n, out) in enumerate(zip(t.shape[1:-1], self.out_size(t), strict=True), 1):
            if n % out:
                y = self.onnx_cells(m, y, n, out, axis, t.rank)
        node = {"max": "MaxPool", "avg": "AveragePool"}[self.kind]
        pooled = m.node(node, m.channels_first(y, t.rank), **onnx_windows(self.pool(t)))
        return (self.onnx_corrected(m, m.channels_last(pooled, t.rank), t),)

    def onnx_cells(self, m: OnnxBuilder, x: str, size: int, out: int, axis: int, rank: int) -> str:
        """The cells of the windows of an axis side by side."""
        return m.node("Gather", x, m.const(self.cells(size, out).ravel()), axis=axis)

    def onnx_corrected(self, m: OnnxBuilder, y: str, x: TensorType) -> str:
        """`corrected` in ONNX nodes."""
        return y

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Window by window, with PyTorch's ends."""
        (x,) = arrays
        out = self.out_size(TensorType(x.shape))
        y = np.zeros((len(x), *out, x.shape[-1]), x.dtype)
        for at in itertools.product(*map(range, out)):
            axes = zip(at, x.shape[1:-1], out, strict=True)
            cut = tuple(slice(k * n // o, -(-(k + 1) * n // o)) for k, n, o in axes)
            place: tuple[Any, ...] = (slice(None), *at)
            cells = x[(slice(None), *cut)].reshape(len(x), -1, x.shape[-1])
            y[place] = cells.max(1) if self.kind == "max" else cells.mean(1)
        return (y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Equal windows and others, 1-D to 3-D, the whole map, as many cells as there are and more."""
        return (
            Sample(cls(2), ((2, 6, 4, 3),)),
            Sample(cls((3, 2)), ((2, 7, 5, 9),)),
            Sample(cls(1), ((2, 5, 3, 4),)),
            Sample(cls(7), ((1, 10, 13, 2),)),
            Sample(cls(4), ((1, 4, 3, 2),)),
            Sample(cls((5,)), ((2, 12, 3),)),
            Sample(cls((1, 2, 3)), ((1, 2, 3, 5, 2),)),
            Sample(cls((2, 2, 2)), ((1, 4, 4, 2),), error="size has 3 entries"),
            Sample(cls(2), ((3, 4),), error="takes 1 to 3 spatial axes"),
            Sample(cls((4_000_000,)), ((1, 6_000_000, 1),), error="more than 4_194_304 cells"),
        )


def _ends(size: int, out: int) -> tuple[Array, Array]:
    """The first cell of each window along an axis, and the one behind its last."""
    k = np.arange(out)
    return k * size // out, -(-(k + 1) * size // out)


def _widest(size: int, out: int) -> int:
    """Cells of the largest window along an axis: it begins as late as it can within a cell."""
    return -(-(size + out - math.gcd(size, out)) // out)


@dataclass(frozen=True)
class AdaptiveMaxPool(_AdaptivePool):
    """The largest value of each of `size` windows, whatever the size of the map.  PyTorch AdaptiveMaxPool1d..3d."""

    name: ClassVar[str] = "adaptive_max_pool"


@dataclass(frozen=True)
class AdaptiveAvgPool(_AdaptivePool):
    """The average of each of `size` windows, whatever the size of the map.  PyTorch AdaptiveAvgPool1d..3d.

    Windows that do not divide the map overlap by a cell.
    """

    name: ClassVar[str] = "adaptive_avg_pool"
    kind: ClassVar[str] = "avg"

    def cells(self, size: int, out: int) -> Array:
        """Beyond a shorter window -1, which stands for 0."""
        first, last = _ends(size, out)
        cells = first[:, None] + np.arange(_widest(size, out))
        return np.where(cells < last[:, None], cells, -1)

    def counts(self, x: TensorType) -> list[Array]:
        """Cells of the windows along each axis, to be multiplied as they broadcast; none where all are equal."""
        axes = list(zip(x.shape[1:-1], self.out_size(x), strict=True))
        if not any(n % out for n, out in axes):
            return []
        widths = ((last - first).astype(np.float32) for first, last in (_ends(n, out) for n, out in axes))
        return [w.reshape(-1, *(1,) * (len(axes) - k)) for k, w in enumerate(widths)]

    def corrected(self, b: PrimitiveBuilder, y: Value, x: TensorType) -> Value:
        """The average over each window's own cells."""
        counts, cells = self.counts(x), float(math.prod(self.pool(x).size))
        if not counts:
            return y
        return b.map(lambda v, *c: v * (cells / math.prod(c)), y, *map(b.const, counts))

    def onnx_cells(self, m: OnnxBuilder, x: str, size: int, out: int, axis: int, rank: int) -> str:
        """The same with a row of zeros behind the others."""
        ends = m.const([int(k == rank + axis) for k in range(2 * rank)])
        cells = np.where(self.cells(size, out) < 0, size, self.cells(size, out))
        return m.node("Gather", m.node("Pad", x, ends), m.const(cells.ravel()), axis=axis)

    def onnx_corrected(self, m: OnnxBuilder, y: str, x: TensorType) -> str:
        """The same product."""
        counts = self.counts(x)
        for count in counts:
            y = m.node("Div", y, m.const(count))
        return m.node("Mul", y, m.const(np.array(float(math.prod(self.pool(x).size))))) if counts else y
