"""`roi_pool` and `ps_roi_pool`: the largest or the average of whole cells in every box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.roi import CELL, PLACE, Roi
from netdsl.scalar import Expr, absolute, cast_float, ceil, floor, logical_and, maximum, minimum, sign, where


def _rounded(x: Expr) -> Expr:
    """The nearest integer, halves away from 0, as C's round."""
    return sign(x) * floor(absolute(x) + 0.5)


def _round(x: float) -> int:
    return math.floor(x + 0.5) if x >= 0 else math.ceil(x - 0.5)


@dataclass(frozen=True)
class _Binned(Roi):
    """Base: corners rounded to cells of the map, and cells of the box rounded outwards."""

    border: ClassVar[int] = 0  # cells that a box is longer than its rounded corners are apart

    def span(self, low: Expr, high: Expr, cells: int, size: int) -> tuple[Expr, Expr]:
        """The first cell of the map, and one past the last, that a cell of the box covers."""
        start, end = _rounded(low * self.spatial_scale), _rounded(high * self.spatial_scale)
        length = maximum(end - start + float(self.border), 1.0)
        first = start + floor(CELL * length / float(cells))
        last = start + ceil((CELL + 1.0) * length / float(cells))
        return maximum(first, 0.0), minimum(last, float(size))

    def covered(self, x: Array, box: Array, cell: tuple[int, int]) -> Array:
        """The values that a cell of the box covers, `[cells, C]`."""
        cut = []
        for k in range(2):
            start, end, cells = _round(box[1 - k]), _round(box[3 - k]), self.cells()[k]
            length = max(end - start + self.border, 1)
            first, last = start + cell[k] * length // cells, start - (-(cell[k] + 1) * length // cells)
            cut.append(slice(max(first, 0), max(last, 0)))
        return x[cut[0], cut[1]].reshape(-1, x.shape[-1])


@dataclass(frozen=True)
class RoiPool(_Binned):
    """The largest value in each cell of a box: `[H, W, C], [R, 4] -> [R, *size, C]`; 0 where a cell is empty.

    Corners are rounded to cells of the map, both of which belong to the box; its cells are rounded outwards.  Boxes
    are x1, y1, x2, y2 and get no gradient.  Girshick 2015 (Fast R-CNN); ONNX MaxRoiPool.
    """

    name: ClassVar[str] = "roi_pool"
    kind: ClassVar[str] = "max"
    border: ClassVar[int] = 1

    def weight(self, low: Expr, high: Expr, cells: int, size: int) -> Expr:
        """1 inside."""
        first, last = self.span(low, high, cells, size)
        return cast_float(logical_and(first <= PLACE, PLACE < last))

    def published_flops(self, *types: TensorType) -> int:
        """As if every cell of the map were in one cell of each box, whose corners are free: Girshick 2015."""
        return types[0].size * types[1].shape[1]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`MaxRoiPool`, whose boxes have the number of their sample in front."""
        n, r, height, width, channels = self.infer(*types)[0].shape
        sample = m.const(np.repeat(np.arange(n, dtype=np.float32), r)[:, None])
        rois = m.node("Concat", sample, m.node("Reshape", names[1], m.const((n * r, 4))), axis=1)
        x = m.channels_first(names[0], types[0].rank)
        size = [height, width]
        y = m.node("MaxRoiPool", x, rois, pooled_shape=size, spatial_scale=self.spatial_scale)
        return (m.node("Reshape", m.channels_last(y, 4), m.const((n, r, height, width, channels))),)

    @override
    def cell_of(self, x: Array, box: Array, cell: tuple[int, int]) -> Array:
        seen = self.covered(x, box, cell)
        return np.asarray(seen.max(0)) if len(seen) else np.zeros(x.shape[-1])

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Boxes within and beyond the map, more cells than the map has."""
        fixed = (1,)
        return (
            Sample(cls(2, 0.5), ((2, 6, 7, 3), (2, 5, 4)), boxes={1: 13.0}, fixed=fixed),
            Sample(cls((3, 2)), ((2, 9, 8, 3), (2, 4, 4)), boxes={1: 8.0}, fixed=fixed),
            Sample(cls(7), ((1, 4, 5, 2), (1, 6, 4)), boxes={1: 9.0}, fixed=fixed),
            *cls.refused(),
        )


@dataclass(frozen=True)
class PsRoiPool(_Binned):
    """Averages in each cell of a box, from channels of its own: `[H, W, P * Q * C], [R, 4] -> [R, P, Q, C]`.

    Cell (p, q) of the P x Q cells of `size` reads the channels from `(p * Q + q) * C` on (position-sensitive).
    Corners are rounded to cells of the map; an empty cell is 0.  Boxes are x1, y1, x2, y2 and get no gradient.
    Dai et al. 2016 (R-FCN).
    """

    name: ClassVar[str] = "ps_roi_pool"
    split: ClassVar[bool] = True

    def weight(self, low: Expr, high: Expr, cells: int, size: int) -> Expr:
        """1 over the length that lies on the map."""
        first, last = self.span(low, high, cells, size)
        return where(logical_and(first <= PLACE, PLACE < last), 1.0 / (last - first), 0.0)

    def published_flops(self, *types: TensorType) -> int:
        """As if every cell of the map were in one cell of each box, whose corners are free: Dai et al. 2016."""
        (y,) = self.infer(*types)
        return types[0].shape[0] * math.prod(types[0].shape[1:3]) * y.shape[1] * y.shape[-1]

    @override
    def cell_of(self, x: Array, box: Array, cell: tuple[int, int]) -> Array:
        seen = self.covered(x, box, cell)
        return np.asarray(seen.mean(0)) if len(seen) else np.zeros(x.shape[-1])

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Boxes within and beyond the map; channels that do not split."""
        fixed = (1,)
        return (
            Sample(cls(2, 0.5), ((2, 6, 7, 12), (2, 5, 4)), boxes={1: 13.0}, fixed=fixed),
            Sample(cls((3, 2)), ((1, 9, 8, 6), (1, 4, 4)), boxes={1: 12.0}, fixed=fixed),
            Sample(cls(3), ((1, 5, 5, 12), (1, 4, 4)), error="cannot split 12 channels"),
            *cls.refused(),
        )
