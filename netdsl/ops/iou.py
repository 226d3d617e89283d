"""`iou` and `giou`: losses of boxes, 1 minus their intersection over union."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.accumulator import Sum
from netdsl.ops.boxes import Corners, area, check_boxes, corners_of, hull, overlap
from netdsl.ops.loss import Loss
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr

EPSILON = 1e-7  # added to areas that are divided by, as PyTorch does


@dataclass(frozen=True)
class Iou(Loss):
    """`1 - IoU` of boxes x1, y1, x2, y2: area in common over area together.  Mean over the boxes `[..., 4]`.

    Weights are one per sample or one per box.  Yu et al. 2016, without their logarithm; boxes that do not meet have
    no gradient (see `giou`).
    """

    name: ClassVar[str] = "iou"

    def check_target(self, prediction: TensorType, target: TensorType) -> None:
        """As many boxes."""
        check_boxes(self.name, prediction, 0)
        super().check_target(prediction, target)

    def weights_fit(self, prediction: TensorType, weights: TensorType) -> bool:
        """One per sample, or one per box."""
        return weights.shape in (prediction.shape[:1], prediction.shape[:-1])

    def element(self, p: Corners, t: Corners) -> Expr:
        """The loss of one box."""
        common = area(overlap(p, t))
        return 1.0 - common / (area(p) + area(t) - common + EPSILON)

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """The losses of all boxes, and how many there are."""
        shape = b.type(values[0]).shape[:-1]
        operands = [*corners_of(b, values[0]), *corners_of(b, values[1])]
        if len(values) == 3:
            own = b.type(values[2]).shape
            operands.append(b.reshape(values[2], (*own, *(1,) * (len(shape) + 1 - len(own)))))

        def weighted(*x: Expr) -> Expr:
            loss = self.element(x[:4], x[4:8])
            return loss if len(x) == 8 else loss * x[8]

        return b.reduce("sum", weighted, *operands, axes=range(len(shape) + 1)), math.prod(shape)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        pairs = zip(arrays[0].reshape(-1, 4), arrays[1].reshape(-1, 4), strict=True)
        losses = np.array([self._loss(p, t) for p, t in pairs]).reshape(arrays[0].shape[:-1])
        if len(arrays) == 3:
            losses = losses * arrays[2].reshape(*arrays[2].shape, *(1,) * (losses.ndim - arrays[2].ndim))
        return (np.asarray(losses.mean(), arrays[0].dtype),)

    def _loss(self, p: Array, t: Array) -> float:
        return 1.0 - self._areas(p, t)[0]

    @staticmethod
    def _areas(p: Array, t: Array) -> tuple[float, float]:
        """The intersection over the union, and the union."""
        sides = np.clip(np.minimum(p[2:], t[2:]) - np.maximum(p[:2], t[:2]), 0, None)
        common = float(np.prod(sides))
        union = (
            float(np.prod(np.clip(p[2:] - p[:2], 0, None)) + np.prod(np.clip(t[2:] - t[:2], 0, None)))
            - common
        )
        return common / (union + EPSILON), union

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One box and many, weights per sample and per box, empty boxes, what is no box."""
        return (
            Sample(cls(), ((5, 4), (5, 4)), boxes={0: 1.0, 1: 1.0}),
            Sample(cls(), ((2, 7, 4), (2, 7, 4)), boxes={0: 9.0, 1: 9.0}),
            Sample(cls(), ((3, 5, 4), (3, 5, 4), (3,)), boxes={0: 9.0, 1: 9.0}),
            Sample(cls(), ((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5)), boxes={0: 9.0, 1: 9.0}),
            Sample(cls(), ((9, 4), (9, 4)), boxes={1: 1.0}),
            Sample(cls(), ((3, 4, 5), (3, 4, 5)), error="takes boxes"),
            Sample(cls(), ((3, 7, 4), (3, 6, 4)), error="compares"),
            Sample(cls(), ((3, 7, 4), (3, 7, 4), (7,)), error="one per sample"),
        )


@dataclass(frozen=True)
class Giou(Iou):
    """`1 - IoU + (hull - union) / hull`, hull being the smallest box around both.  Rezatofighi et al. 2019.

    Like `iou`, with a gradient for boxes that do not meet.  Mean over the boxes `[..., 4]` of x1, y1, x2, y2; weights
    are one per sample or one per box.
    """

    name: ClassVar[str] = "giou"

    def element(self, p: Corners, t: Corners) -> Expr:
        """The loss of one box."""
        common, around = area(overlap(p, t)), area(hull(p, t))
        union = area(p) + area(t) - common
        return 1.0 - common / (union + EPSILON) + (around - union) / (around + EPSILON)

    def _loss(self, p: Array, t: Array) -> float:
        iou, union = self._areas(p, t)
        around = float(np.prod(np.maximum(p[2:], t[2:]) - np.minimum(p[:2], t[:2])))
        return 1.0 - iou + (around - union) / (around + EPSILON)
