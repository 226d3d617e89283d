"""What ops on regions of interest share: a small map of one size for every box on a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.boxes import check_boxes, check_map, corners_of
from netdsl.ops.settings import positive_number
from netdsl.ops.spatial import per_axis, sizes
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.roi_reduce import RoiReduce
from netdsl.scalar import (
    Arg,
    Expr,
    Index,
    cast_float,
    stop_gradient,
)
from netdsl.source import counted

#: the space in which the weights of rows, or of columns, are computed: [N, R, cell, sample, place]
CELL, SAMPLE, PLACE = (cast_float(Index(axis)) for axis in (2, 3, 4))


@dataclass(frozen=True)
class Roi(LibraryOp):
    """Base: operands are a map `[H, W, C]` and boxes `[R, 4]`; no gradient flows into the boxes."""

    operands: ClassVar[int | None] = 2
    positional: ClassVar[tuple[str, ...]] = ("size", "spatial_scale")
    kind: ClassVar[str] = "sum"
    split: ClassVar[bool] = False
    size: int | tuple[int, ...] = setting(
        "height and width of the result, or one number for both", check=sizes
    )
    spatial_scale: float = setting("cells of the map per unit of the boxes: 1 / stride", 1.0, positive_number)

    def cells(self) -> tuple[int, int]:
        """Height and width of the result."""
        height, width = per_axis("size", self.size, 2)
        return height, width

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """A map for each box: `[R, *size, C]`."""
        n, _, _, channels = check_map(self.name, types[0])
        check_boxes(self.name, types[1], 1)
        if types[1].rank != 3:
            message = f"{self.name} takes boxes [R, 4], not {list(types[1].shape[1:])}"
            raise ShapeError(message, operand=1)
        height, width = self.cells()
        blocks = height * width if self.split else 1
        if channels % blocks:
            message = f"cannot split {counted(channels, 'channel')} into {height} x {width} cells"
            raise ShapeError(message, operand=0)
        return (TensorType((n, types[1].shape[1], height, width, channels // blocks)),)

    def samples_per_cell(self, cells: int) -> int:
        """Terms of the sum that makes a weight."""
        return 1

    def weight(self, low: Expr, high: Expr, cells: int, size: int) -> Expr:
        """The weight of `PLACE`, on an axis of `size`, in `CELL` of a box from `low` to `high`."""
        raise NotImplementedError(f"{self.name} has no weights")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Weights of rows and columns, and a `roi_reduce` with them."""
        x, boxes = values
        n, r = b.type(boxes).shape[:2]
        x1, y1, x2, y2 = (b.reshape(v, (n, r, 1, 1, 1)) for v in corners_of(b, boxes))
        weights = []
        for k, (low, high) in enumerate(((y1, y2), (x1, x2))):
            cells, size = self.cells()[k], b.type(x).shape[1 + k]
            e = self.weight(stop_gradient(Arg(0)), stop_gradient(Arg(1)), cells, size)
            space = (n, r, cells, self.samples_per_cell(cells), size)
            weights.append(b.reduce_expr("sum", e, low, high, axes=(3,), shape=space))
        return (b.add1(RoiReduce(self.kind, self.split), x, *weights),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything, because the boxes decide."""

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        _, r, height, width, channels = result.shape
        lines = [f"boxes: {r}", f"height, width: {height}, {width}, as set"]
        if self.split:
            lines.append(f"channels: {types[0].shape[-1]} / ({height} x {width}) = {channels}")
        return lines

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, boxes = arrays
        (y,) = self.infer(*(TensorType(a.shape) for a in arrays))
        out = np.zeros(y.shape, x.dtype)
        for n, r, p, q in np.ndindex(*y.shape[:4]):
            first = (p * y.shape[3] + q) * y.shape[4] if self.split else 0
            seen = x[n, :, :, first : first + y.shape[4]]
            out[n, r, p, q] = self.cell_of(seen, boxes[n, r] * self.spatial_scale, (p, q))
        return (out,)

    def cell_of(self, x: Array, box: Array, cell: tuple[int, int]) -> Array:
        """One cell of the result, of a box in cells of the map, in NumPy."""
        raise NotImplementedError(f"{self.name} has no reference")

    @classmethod
    def refused(cls) -> Sequence[Sample]:
        """Operands that are no map or no boxes."""
        return (
            Sample(cls(2), ((2, 5, 4), (2, 3, 4)), error="takes maps [H, W, C]"),
            Sample(cls(2), ((2, 5, 6, 4), (2, 3, 5)), error="takes boxes"),
            Sample(cls(2), ((2, 5, 6, 4), (2, 3, 1, 4)), error="takes boxes [R, 4]"),
            Sample(cls((2, 2, 2)), ((2, 5, 6, 4), (2, 3, 4)), error="size has 3 entries"),
        )
