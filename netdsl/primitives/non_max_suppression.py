"""`non_max_suppression`: the best of overlapping boxes, greedily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType


@dataclass(frozen=True)
class NonMaxSuppression(Op):
    """Candidates in falling order of their score, without those that overlap an earlier one of their class.

    Operands: boxes `f32[N,4,B]`, rows x1, y1, x2, y2, or `f32[N,K,4,B]` where each class has its own, and scores
    `f32[N,K,B]` of K classes.  The result `i64[N,count]` has the numbers `k * B + b` of those that are kept, and -1
    behind the last.  A box is dropped when its intersection over union with a kept one is above `iou_threshold`; a
    candidate counts when its score is above `score_threshold` (None: above minus infinity).  Equal scores: the
    smaller number first.
    """

    name: ClassVar[str] = "non_max_suppression"
    count: int
    iou_threshold: float
    score_threshold: float | None = None

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many numbers as asked for."""
        boxes, scores = types
        if boxes.rank not in (3, 4) or boxes.shape[-2] != 4 or boxes.dtype != "f32":
            raise ShapeError(f"suppress takes boxes [N, 4, B] or [N, K, 4, B], not {boxes}", operand=0)
        classes = scores.shape[1:2] if boxes.rank == 4 else ()
        same = (*scores.shape[:1], *classes, 4, *scores.shape[2:]) == boxes.shape
        if scores.rank != 3 or not same or scores.dtype != "f32":
            raise ShapeError(f"scores {scores} do not belong to boxes {boxes}", operand=1)
        if self.count < 0:
            raise ShapeError(f"cannot keep {self.count} boxes")
        return (TensorType((boxes.shape[0], self.count), "i64"),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Take the best candidate and drop what it overlaps, as often as asked for."""
        boxes, scores = arrays
        kept = np.full((len(boxes), self.count), -1, np.int64)
        threshold = -np.inf if self.score_threshold is None else self.score_threshold
        for n in range(len(boxes)):
            left = np.where(scores[n] > threshold, scores[n], -np.inf)
            for place in range(self.count if left.size else 0):
                k, best = np.unravel_index(left.argmax(), left.shape)
                if left[k, best] == -np.inf:
                    break
                kept[n, place] = k * left.shape[1] + best
                own = boxes[n] if boxes.ndim == 3 else boxes[n, k]
                left[k, overlaps(own, int(best)) > self.iou_threshold] = -np.inf
                left[k, best] = -np.inf
        return (kept,)


def overlaps(boxes: Array, number: int) -> Array:
    """Intersection over union of all boxes `[4, B]` with one of them; NaN where both are empty."""
    one = boxes[:, number, None]
    common = _area(np.maximum(boxes[:2], one[:2]), np.minimum(boxes[2:], one[2:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(common / (_area(boxes[:2], boxes[2:]) + _area(one[:2], one[2:]) - common))


def _area(low: Array, high: Array) -> Array:
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=0))
