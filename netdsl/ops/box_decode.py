"""`box_decode`: the predictions of a detection head, as boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value, broadcast_shapes
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.boxes import along, check_boxes
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import four_positive, number, two_positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, exp, maximum, minimum, where

#: for x1, y1, x2, y2: which entry is their move or low corner, and which their scale or high corner
FIRST, SECOND = (0, 1, 0, 1), (2, 3, 2, 3)


@dataclass(frozen=True)
class BoxDecode(LibraryOp):
    """Anchors moved by dx, dy and scaled by exp(dw), exp(dh): `deltas [..., 4], anchors [..., 4] -> boxes [..., 4]`.

    Anchors and boxes are x1, y1, x2, y2; the centre moves by dx widths and dy heights.  `weights` divide the deltas:
    (10, 10, 5, 5) in Fast R-CNN's head, and for SSD's variances (0.1, 0.1, 0.2, 0.2).  Girshick et al. 2014; Ren et
    al. 2015; Liu et al. 2016.
    """

    name: ClassVar[str] = "box_decode"
    operands: ClassVar[int | None] = 2
    weights: tuple[float, ...] = setting("what dx, dy, dw, dh are divided by", (1.0,) * 4, four_positive)
    scale_clamp: float = setting("largest dw and dh", math.log(1000 / 16), number)
    clip: tuple[float, ...] | None = setting(
        "height and width of the picture that boxes are cut to; default: they are not", None, two_positive
    )

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """A box for each four deltas."""
        deltas, anchors = types
        for k, t in enumerate(types):
            check_boxes(self.name, t, k)
        try:
            fits = broadcast_shapes(deltas.shape, anchors.shape) == deltas.shape
        except ValueError:
            fits = False
        if not fits:
            message = f"anchors {list(anchors.shape[1:])} do not fit deltas {list(deltas.shape[1:])}"
            raise ShapeError(message, operand=1)
        return (deltas,)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map over the coordinates, each with its delta and its log scale."""
        deltas, anchors = values
        last = b.type(deltas).rank - 1
        across, down, wider, higher = (1.0 / w for w in self.weights)

        def element(move: Expr, scale: Expr, low: Expr, high: Expr) -> Expr:
            size = high - low
            centre = low + (0.5 + move * along(across, down, last)) * size
            half = 0.5 * size * exp(minimum(scale * along(wider, higher, last), self.scale_clamp))
            return self._clipped(where(Index(last) < 2, centre - half, centre + half), last)

        parts = [b.gather(deltas, FIRST, -1), b.gather(deltas, SECOND, -1)]
        parts += [b.gather(anchors, FIRST, -1), b.gather(anchors, SECOND, -1)]
        return (b.map(element, *parts),)

    def _clipped(self, x: Expr, last: int) -> Expr:
        if self.clip is None:
            return x
        height, width = self.clip
        return minimum(maximum(x, 0.0), along(width, height, last))

    def published_flops(self, *types: TensorType) -> int:
        """Ten per coordinate, two more where boxes are cut: Girshick et al. 2014, whose formulas have no weights."""
        return (10 if self.clip is None else 12) * types[0].size

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        picks = ((names[0], FIRST), (names[0], SECOND), (names[1], FIRST), (names[1], SECOND))
        move, scale, low, high = (m.node("Gather", x, m.const(k), axis=types[0].rank - 1) for x, k in picks)
        factors = 1.0 / np.array(self.weights)
        size = m.node("Sub", high, low)
        move = m.node("Add", m.node("Mul", move, m.const(factors[list(FIRST)])), m.const(np.array(0.5)))
        centre = m.node("Add", low, m.node("Mul", move, size))
        scale = m.node("Mul", scale, m.const(factors[list(SECOND)]))
        grown = m.node("Exp", m.node("Min", scale, m.const(np.array(self.scale_clamp))))
        half = m.node("Mul", m.node("Mul", size, grown), m.const(np.array([-0.5, -0.5, 0.5, 0.5])))
        box = m.node("Add", centre, half)
        if self.clip is None:
            return (box,)
        limits = m.const(np.array(self.clip)[[1, 0, 1, 0]])
        return (m.node("Min", m.node("Max", box, m.const(np.array(0.0))), limits),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        deltas, anchors = arrays
        move, scale = np.split(deltas / np.array(self.weights), 2, axis=-1)
        low, high = np.split(anchors, 2, axis=-1)
        centre = (low + high) / 2 + move * (high - low)
        size = (high - low) * np.exp(np.minimum(scale, self.scale_clamp))
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
        if self.clip is not None:
            boxes = np.clip(boxes, 0, np.array(self.clip)[[1, 0, 1, 0]])
        return (boxes,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Weights, cutting, clamped scales, anchors shared by classes, misfits."""
        return (
            Sample(cls(), ((2, 7, 4), (2, 7, 4)), boxes={1: 20.0}),
            Sample(cls((10.0, 10.0, 5.0, 5.0), clip=(15.0, 18.0)), ((2, 9, 4), (2, 9, 4)), boxes={1: 20.0}),
            Sample(cls(scale_clamp=0.3), ((3, 4), (3, 4)), boxes={1: 20.0}),
            Sample(cls(), ((2, 5, 3, 4), (2, 5, 1, 4)), boxes={1: 20.0}),
            Sample(cls(), ((2, 5, 5), (2, 5, 4)), error="takes boxes"),
            Sample(cls(), ((2, 5, 4), (2, 6, 4)), error="anchors [6, 4] do not fit"),
            Sample(cls(), ((2, 1, 4), (2, 6, 4)), error="anchors [6, 4] do not fit"),
        )
