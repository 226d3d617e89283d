"""`nms`: the best of overlapping boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ir.types import FLOAT_MAX
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.boxes import check_boxes
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import fraction, number, positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.non_max_suppression import NonMaxSuppression
from netdsl.scalar import Expr, Index, where
from netdsl.source import counted

LOWEST = -FLOAT_MAX


@dataclass(frozen=True)
class Nms(LibraryOp):
    """Non-maximum suppression: `boxes [B, 4], scores [B, K]` or `[B]` `-> boxes [M, 4], scores [M], classes [M]`.

    Of each class the boxes with the highest scores, without those whose intersection over union with a kept one is
    above `iou_threshold`; of all of them the `max_boxes` best in falling order, equal ones by class and number.  With
    boxes `[B, K, 4]` each class has its own; with scores `[B]` all boxes are of class 0 and suppress each other.
    Where fewer are left, boxes and scores are 0 and classes -1.  ONNX NonMaxSuppression, TensorFlow
    combined_non_max_suppression.

    The choice itself has no gradient; that of the kept boxes and scores goes to where they come from.
    """

    name: ClassVar[str] = "nms"
    operands: ClassVar[int | None] = 2
    positional: ClassVar[tuple[str, ...]] = ("max_boxes", "iou_threshold", "score_threshold")
    max_boxes: int = setting("how many boxes are kept, M", check=positive)
    iou_threshold: float = setting("boxes that overlap more are dropped", 0.5, fraction)
    score_threshold: float | None = setting(
        "scores must be above it; default: above minus infinity", None, number
    )

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        boxes, scores = types
        check_boxes(self.name, boxes, 0)
        if boxes.rank not in (3, 4):
            message = f"nms takes boxes [B, 4] or [B, classes, 4], not {list(boxes.shape[1:])}"
            raise ShapeError(message, operand=0)
        if scores.shape[:2] != boxes.shape[:2] or scores.rank not in (2, 3) or scores.dtype != "f32":
            message = f"nms takes a score, or one per class, for each of {counted(boxes.shape[1], 'box')}"
            raise ShapeError(f"{message}, not {list(scores.shape[1:])}", operand=1)
        if boxes.rank == 4 and scores.shape != boxes.shape[:3]:
            message = f"boxes of {counted(boxes.shape[2], 'class')} have no scores {list(scores.shape[1:])}"
            raise ShapeError(message, operand=1)
        kept = (boxes.shape[0], self.max_boxes)
        return TensorType((*kept, 4)), TensorType(kept), TensorType(kept, "i64")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Choose by `non_max_suppression` and gather the chosen boxes; zeros where there are fewer."""
        boxes, scores = values
        n, count, *own = b.type(boxes).shape[:-1]
        classes = b.type(scores).size // (n * count)
        scores = b.transpose(b.reshape(scores, (n, count, classes)), (0, 2, 1))
        op = NonMaxSuppression(self.max_boxes, self.iou_threshold, self.score_threshold)
        kept = b.add1(op, b.transpose(boxes, (0, 2, 3, 1) if own else (0, 2, 1)), scores)

        def row(k: Expr) -> Expr:
            box = Index(0) * count + k % count
            return where(k < 0, -1, box * classes + k // count if own else box)

        def candidate(k: Expr) -> Expr:
            return where(k < 0, -1, Index(0) * (classes * count) + k)

        chosen = b.gather(b.reshape(boxes, (math.prod((n, count, *own)), 4)), b.map(row, kept), 0)
        best = b.gather(b.reshape(scores, (n * classes * count,)), b.map(candidate, kept), 0)
        return chosen, best, b.map(lambda k: k // count, kept)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything, because the scores decide."""

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [f"boxes: {self.max_boxes} of {types[0].shape[1]}, as set"]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`NonMaxSuppression` and `TopK` for each sample: the kept boxes of all classes, and empty ones behind.

        None where each class has its own boxes.
        """
        if types[0].rank == 4:
            return None
        n, count = types[0].shape[:2]
        scores = m.node("Reshape", names[1], m.const((n, count, types[1].size // (n * count))))
        scores = m.transpose(scores, (0, 2, 1))
        parts = [self._one(m, self._cut(m, names[0], k, 0), self._cut(m, scores, k, 0)) for k in range(n)]
        return tuple(m.node("Concat", *column, axis=0) for column in zip(*parts, strict=True))

    def _one(self, m: OnnxBuilder, boxes: str, scores: str) -> tuple[str, str, str]:
        """Boxes, scores and classes of one sample, `[1, B, 4]` and `[1, K, B]`."""
        low, high = self._cut(m, boxes, 0, 2, 2), self._cut(m, boxes, 2, 2, 2)
        # ONNX sorts the corners of a box; here one with x2 < x1 is empty.
        solid = m.node("Concat", low, m.node("Max", low, high), axis=2)
        limits = [m.const((self.max_boxes,)), m.const(np.array([self.iou_threshold]))]
        if self.score_threshold is not None:
            limits.append(m.const(np.array([self.score_threshold])))
        found = m.node("NonMaxSuppression", solid, scores, *limits)
        filler = np.tile([0, -1, -1], (self.max_boxes, 1))
        best = m.node(
            "Concat", m.node("GatherND", scores, found), m.const(np.full(len(filler), LOWEST)), axis=0
        )
        best, order = m.nodes("TopK", 2, best, m.const((self.max_boxes,)), axis=0)
        chosen = m.node("Gather", m.node("Concat", found, m.const(filler), axis=0), order, axis=0)
        classes, number = (m.node("Squeeze", self._cut(m, chosen, k, 1), m.const((1,))) for k in (1, 2))
        best = m.node("Where", m.node("Less", classes, m.const(np.array(0))), m.const(np.array(0.0)), best)
        with_none = m.node("Concat", boxes, m.const(np.zeros((1, 1, 4))), axis=1)
        rows = m.node("Gather", with_none, number, axis=1)
        front = m.const((0,))
        return rows, m.node("Unsqueeze", best, front), m.node("Unsqueeze", classes, front)

    @staticmethod
    def _cut(m: OnnxBuilder, x: str, start: int, axis: int, size: int = 1) -> str:
        return m.node("Slice", x, *(m.const((k,)) for k in (start, start + size, axis)))

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Class by class from the highest score down, then the best of all classes."""
        boxes, scores = arrays
        kinds = scores.reshape(*boxes.shape[:2], -1)
        out = [np.zeros((*boxes.shape[:1], self.max_boxes, 4), boxes.dtype)]
        out += [np.zeros(out[0].shape[:2], scores.dtype), np.full(out[0].shape[:2], -1, np.int64)]
        for n in range(len(boxes)):
            own = [boxes[n] if boxes.ndim == 3 else boxes[n, :, k] for k in range(kinds.shape[2])]
            found = [pair for k, mine in enumerate(own) for pair in self._class(mine, kinds[n, :, k], k)]
            found.sort(key=lambda pair: -kinds[n, pair[1], pair[0]])
            for place, (k, row) in enumerate(found[: self.max_boxes]):
                out[0][n, place], out[1][n, place], out[2][n, place] = own[k][row], kinds[n, row, k], k
        return tuple(out)

    def _class(self, boxes: Array, scores: Array, k: int) -> list[tuple[int, int]]:
        """The kept boxes of a class, as pairs of the class and their number."""
        kept: list[tuple[int, int]] = []
        lowest = -np.inf if self.score_threshold is None else self.score_threshold
        for row in np.argsort(-scores, kind="stable"):
            if scores[row] > lowest and all(
                _iou(boxes[row], boxes[i]) <= self.iou_threshold for _, i in kept
            ):
                kept.append((k, int(row)))
        return kept

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One class and several, thresholds, more boxes than there are, misfits."""
        return (
            Sample(cls(4), ((2, 9, 4), (2, 9)), boxes={0: 10.0}),
            Sample(cls(6, 0.3, 0.2), ((2, 9, 4), (2, 9, 3)), boxes={0: 10.0}),
            Sample(cls(20, 0.1), ((1, 8, 4), (1, 8, 2)), boxes={0: 6.0}),
            Sample(cls(5, 0.2, 2.0), ((1, 4, 4), (1, 4)), boxes={0: 6.0}),
            Sample(cls(6, 0.3, 0.2), ((2, 9, 3, 4), (2, 9, 3)), boxes={0: 10.0}),
            Sample(cls(5), ((2, 9, 5), (2, 9)), error="takes boxes"),
            Sample(cls(5), ((2, 3, 9, 2, 4), (2, 3, 9)), error="takes boxes [B, 4] or [B, classes, 4]"),
            Sample(cls(5), ((2, 9, 3, 4), (2, 9)), error="boxes of 3 classes have no scores [9]"),
            Sample(cls(5), ((2, 9, 4), (2, 8)), error="a score, or one per class, for each of 9 boxes"),
        )


def _iou(p: Array, q: Array) -> float:
    """Intersection over union, 0 when both boxes are empty."""
    common = _area(np.concatenate([np.maximum(p[:2], q[:2]), np.minimum(p[2:], q[2:])]))
    union = _area(p) + _area(q) - common
    return common / union if union > 0 else 0.0


def _area(box: Array) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))
