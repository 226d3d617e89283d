"""`roi_align`: bilinear samples in every box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType
from netdsl.ops.base import setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.roi import CELL, PLACE, SAMPLE, Roi
from netdsl.ops.settings import boolean, count
from netdsl.scalar import Expr, absolute, ceil, floor, logical_and, maximum, minimum, where

#: the most samples, half a cell to a cell apart, that lie within one cell of a place, plus one on each side
NEAR = 6


@dataclass(frozen=True)
class RoiAlign(Roi):
    """The average of bilinear samples in each cell of a box: `[H, W, C], [R, 4] -> [R, *size, C]`.

    A cell has `sampling_ratio` samples along each axis, evenly spread; with 0 as many as it is cells of the map long,
    rounded up.  `aligned` puts the centres of cells at half coordinates, as ONNX' half_pixel; without it boxes are
    half a cell off and at least one cell large, as in the paper's code.  Samples more than a cell outside of the map
    are 0.  Boxes are x1, y1, x2, y2 and get no gradient.  He et al. 2017 (Mask R-CNN).
    """

    name: ClassVar[str] = "roi_align"
    sampling_ratio: int = setting("samples of a cell along each axis; 0: by its size", 0, count)
    aligned: bool = setting("the centres of cells lie at half coordinates", True, boolean)

    def samples_per_cell(self, cells: int) -> int:
        """The setting, or the most samples that can lie near a place."""
        return self.sampling_ratio or NEAR

    def weight(self, low: Expr, high: Expr, cells: int, size: int) -> Expr:
        """The sum of the samples' bilinear weights, divided by the number of samples."""
        shift = 0.5 if self.aligned else 0.0
        start = low * self.spatial_scale - shift
        length = high * self.spatial_scale - shift - start
        step = (length if self.aligned else maximum(length, 1.0)) / float(cells)
        start = start + CELL * step
        if self.sampling_ratio:
            total: Expr | float = float(self.sampling_ratio)
            number = SAMPLE
        else:
            total = ceil(step)
            # Only samples within a pixel of the place count: those from here on.
            number = SAMPLE + maximum(floor((PLACE - 1.0 - start) * total / step - 0.5), 0.0)
        at = start + (number + 0.5) * step / total
        inside = logical_and(at >= -1.0, logical_and(at <= float(size), number < total))
        near = 1.0 - absolute(minimum(maximum(at, 0.0), float(size - 1)) - PLACE)
        return where(inside, maximum(near, 0.0) / total, 0.0)

    def published_flops(self, *types: TensorType) -> int:
        """Four cells of the map for each sample, two operations each: He et al. 2017.

        One sample where their number is not set.
        """
        return 8 * max(self.sampling_ratio, 1) ** 2 * self.infer(*types)[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`RoiAlign` over the boxes of all samples."""
        (n, r, height, width, channels), rank = self.infer(*types)[0].shape, types[0].rank
        y = m.node(
            "RoiAlign",
            m.channels_first(names[0], rank),
            m.node("Reshape", names[1], m.const((n * r, 4))),
            m.const(np.repeat(np.arange(n), r)),
            mode="avg",
            output_height=height,
            output_width=width,
            sampling_ratio=self.sampling_ratio,
            spatial_scale=self.spatial_scale,
            coordinate_transformation_mode="half_pixel" if self.aligned else "output_half_pixel",
        )
        return (m.node("Reshape", m.channels_last(y, 4), m.const((n, r, height, width, channels))),)

    @override
    def cell_of(self, x: Array, box: Array, cell: tuple[int, int]) -> Array:
        shift = 0.5 if self.aligned else 0.0
        start, length = box[1::-1] - shift, box[:1:-1] - box[1::-1]
        step = (length if self.aligned else np.maximum(length, 1)) / self.cells()
        counts = [self.sampling_ratio or max(math.ceil(s), 0) for s in step]
        total = np.zeros(x.shape[-1])
        for sample in np.ndindex(*counts):
            at = start + step * (cell + (np.array(sample) + 0.5) / counts)
            if (at >= -1).all() and (at <= x.shape[:2]).all():
                total += _bilinear(x, np.clip(at, 0, np.array(x.shape[:2]) - 1))
        return total / max(math.prod(counts), 1)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Fixed and free numbers of samples, both conventions, boxes within and beyond the map, small ones."""
        shapes, fixed = ((2, 6, 7, 3), (2, 5, 4)), (1,)
        return (
            Sample(cls(2, 0.5, 2), shapes, boxes={1: 13.0}, fixed=fixed),
            Sample(cls((3, 2), 1.0, 1, False), shapes, boxes={1: 8.0}, fixed=fixed),
            Sample(cls((2, 3), 0.25), shapes, boxes={1: 50.0}, fixed=fixed),
            Sample(cls(7, 1.0), ((1, 9, 5, 2), (1, 4, 4)), boxes={1: 4.0}, fixed=fixed),
            Sample(cls(2, 1.0, 0, False), ((1, 9, 8, 2), (1, 9, 4)), boxes={1: 30.0}, fixed=fixed),
            Sample(cls(1, 1.0, 3), ((1, 1, 1, 2), (1, 5, 4)), boxes={1: 3.0}, fixed=fixed),
            *cls.refused(),
        )


def _bilinear(x: Array, at: Array) -> Array:
    """The map at a place inside of it."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, np.array(x.shape[:2]) - 1)
    v, u = at - low
    top = (1 - u) * x[low[0], low[1]] + u * x[low[0], high[1]]
    bottom = (1 - u) * x[high[0], low[1]] + u * x[high[0], high[1]]
    return np.asarray((1 - v) * top + v * bottom)
