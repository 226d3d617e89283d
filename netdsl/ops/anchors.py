"""`anchors`: the anchor boxes of a detector."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.boxes import along, check_map
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import number, positive_numbers
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Expr, Index, cast_float
from netdsl.source import counted


@dataclass(frozen=True)
class Anchors(LibraryOp):
    """Boxes of several sizes and ratios about every cell of a map: `[H, W, C] -> [H * W * A, 4]`.

    Corners x1, y1, x2, y2 in the units of `stride` and `sizes`, usually pixels of the picture.  A box of size s,
    scale f and ratio r is `s * f / sqrt(r)` wide and `s * f * sqrt(r)` high.  Boxes come cell by cell, rows first;
    those of a cell by size, then scale, then ratio.  Ren et al. 2015 (Faster R-CNN), Lin et al. 2017 (RetinaNet).
    """

    name: ClassVar[str] = "anchors"
    positional: ClassVar[tuple[str, ...]] = ("stride", "sizes", "ratios")
    stride: tuple[float, ...] = setting(
        "distance of two cells: a number, or that of rows and of columns", check=positive_numbers
    )
    sizes: tuple[float, ...] = setting("square roots of the areas", check=positive_numbers)
    ratios: tuple[float, ...] = setting("heights over widths", (1.0,), positive_numbers)
    scales: tuple[float, ...] = setting("factors of each size", (1.0,), positive_numbers)
    offset: float = setting("where the centre of a cell is, in cells", 0.5, number)

    def shapes(self) -> list[tuple[float, float]]:
        """Widths and heights of the boxes of a cell, rounded as tensors are."""
        kinds = itertools.product(self.sizes, self.scales, self.ratios)
        pairs = ((s * f / math.sqrt(r), s * f * math.sqrt(r)) for s, f, r in kinds)
        return [(float(np.float32(w)), float(np.float32(h))) for w, h in pairs]

    def steps(self) -> tuple[float, float]:
        """The distance of two rows and of two columns."""
        if len(self.stride) > 2:
            raise ShapeError(
                f"stride has {counted(len(self.stride), 'entry')}, a map 2 axes", setting="stride"
            )
        return self.stride[0], self.stride[-1]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many boxes for each cell as there are shapes."""
        self.steps()
        n, height, width, _ = check_map(self.name, types[0])
        per_cell = len(self.sizes) * len(self.scales) * len(self.ratios)
        return (TensorType((n, height * width * per_cell, 4)),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A map that reads nothing of the operand but its shape."""
        n, height, width, _ = b.type(values[0]).shape
        down, across = self.steps()
        (boxes,) = self.infer(b.type(values[0]))
        per_cell = TensorType((boxes.shape[1] // (height * width), 4))

        def element(corner: Expr) -> Expr:
            cell = cast_float(along(Index(2), Index(1), 4))
            return (cell + self.offset) * along(across, down, 4) + corner

        def corners() -> Array:
            return np.array([(-w / 2, -h / 2, w / 2, h / 2) for w, h in self.shapes()])

        space = (n, height, width, *per_cell.shape)
        made = b.map_expr(element(Arg(0)), b.table(per_cell, corners), shape=space)
        return (b.reshape(made, boxes.shape),)

    def published_flops(self, *types: TensorType) -> int:
        """A product and two sums per coordinate, as if made for each picture: Ren et al. 2015."""
        return 3 * self.infer(*types)[0].size

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything, because the axes change; the values of the operand are not read."""

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        _, height, width, _ = types[0].shape
        kinds = [(len(self.sizes), "size"), (len(self.scales), "scale"), (len(self.ratios), "ratio")]
        per_cell = " x ".join(counted(n, word) for n, word in kinds)
        return [f"boxes: {height} x {width} cells x {per_cell} = {result.shape[1]}"]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        return (m.const(self._boxes(types[0].shape)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (self._boxes(arrays[0].shape),)

    def _boxes(self, shape: tuple[int, ...]) -> Array:
        down, across = self.steps()
        boxes = [
            (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            for y in (np.arange(shape[1]) + self.offset) * down
            for x in (np.arange(shape[2]) + self.offset) * across
            for w, h in self.shapes()
        ]
        return np.tile(np.array(boxes), (shape[0], 1, 1))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One and many boxes, uneven strides, what is no map."""
        return (
            Sample(cls((16.0,), (32.0,)), ((2, 3, 4, 5),)),
            Sample(cls((8.0,), (16.0, 40.0), (0.5, 1.0, 2.0), (1.0, 1.25), 0.0), ((1, 5, 3, 2),)),
            Sample(cls((0.25, 0.2), (0.3,), (1.0, 3.0)), ((1, 4, 5, 1),)),
            Sample(cls((8.0,), (16.0,)), ((2, 3, 4),), error="takes maps [H, W, C]"),
            Sample(cls((8.0, 8.0, 8.0), (16.0,)), ((2, 3, 4, 5),), error="stride has 3 entries"),
        )
