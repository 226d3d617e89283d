"""`auc`: the area under the receiver operating characteristic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.accumulator import Sum
from netdsl.ops.base import setting
from netdsl.ops.hits import OfClasses
from netdsl.ops.settings import positive
from netdsl.ops.softmax import log_softmax
from netdsl.primitives import PrimitiveBuilder, ScatterAdd
from netdsl.scalar import (
    Arg,
    Expr,
    Index,
    absolute,
    cast_int,
    eq,
    exp,
    floor,
    log,
    maximum,
    minimum,
    where,
)

LARGEST = 1e6  # logits beyond it count as it
NEAR = 0.8  # the share of the thresholds that lie where logits do; the others tell apart scores of any size
TINY = 1e-7  # a probability that the logarithm of is taken; nearer to 0 float32 has no digits of 1 - p


@dataclass(frozen=True)
class Auc(OfClasses):
    """The share of pairs of a positive and a negative sample in which the positive one has the higher score.

    Of one logit, or of each of several with targets of 0 and 1; with labels each class against the rest, by its
    probability.  The mean over the classes of which there are samples and others (scikit-learn roc_auc_score, `macro`
    and `ovr`); 0 where there is no such class.  As in Keras AUC a set is counted at fixed thresholds, here at even
    steps of `0.8 s / (1 + |s|)` plus 0.2 times its logarithm, for the logit s: pairs between the same two count half,
    so the error is at most half of their share.
    """

    name: ClassVar[str] = "auc"
    positional: ClassVar[tuple[str, ...]] = ("thresholds",)
    thresholds: int = setting("how many", 1000, positive)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_pair(types)
        return (TensorType(()),)

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """Of each class, how many positive and how many negative scores lie between two thresholds."""
        x, t = values
        shape = b.type(x).shape
        axis, classes, size = len(shape) - 1, shape[-1], shape[-1] * self.thresholds
        if b.type(t).dtype == "i64":
            score = b.map(lambda lp: lp - log(maximum(1.0 - exp(lp), TINY)), log_softmax(b, x))
            label = b.reshape(t, (*shape[:-1], 1))
            right = b.map_expr(where(eq(Index(axis), Arg(0)), 1.0, 0.0), label, shape=shape)
        else:
            score, right = x, b.map(lambda u: where(u > 0.5, 1.0, 0.0), t)

        def place(score: Expr) -> Expr:
            size = minimum(absolute(score), LARGEST)
            far = NEAR * size / (1.0 + size) + (1.0 - NEAR) / math.log1p(LARGEST) * log(1.0 + size)
            at = floor((where(score < 0.0, -far, far) + 1.0) * (0.5 * self.thresholds))
            return (
                cast_int(minimum(maximum(at, 0.0), float(self.thresholds - 1)))
                + Index(axis) * self.thresholds
            )

        cells = b.type(score).size
        places = b.reshape(b.map(place, score), (cells,))
        yes = b.reshape(right, (cells,))
        no = b.map(lambda v: 1.0 - v, yes)
        found = (b.add1(ScatterAdd(0, size), part, places) for part in (yes, no))
        return tuple(b.reshape(part, (classes, self.thresholds)) for part in found)

    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        """Pairs of a positive and a lower negative sample, and half of those at the same place."""
        yes, no = (s for s in sums if isinstance(s, Value))
        classes, n = b.type(yes).shape
        each = b.reshape(yes, (classes, n, 1)), b.reshape(no, (classes, 1, n))

        def won(p: Expr, q: Expr) -> Expr:
            ahead = where(Index(1) > Index(2), 1.0, where(eq(Index(1), Index(2)), 0.5, 0.0))
            return p * q * ahead

        pairs = b.reduce("sum", won, *each, axes=(1, 2))
        positive, negative = (b.reduce("sum", lambda v: v, part, axes=(1,)) for part in (yes, no))
        area = b.map(lambda w, p, q: w / maximum(p * q, 1.0), pairs, positive, negative)
        there = b.map(lambda p, q: where(p * q > 0.0, 1.0, 0.0), positive, negative)
        count = b.reduce("sum", lambda v: v, there, axes=(0,))
        return b.map(lambda a, c: a / maximum(c, 1.0), b.reduce("sum", lambda v: v, area, axes=(0,)), count)

    @override
    def result(self, *sums: Sequence[float]) -> Any:
        yes, no = (np.asarray(s).reshape(-1, self.thresholds) for s in sums)
        below = np.cumsum(no, axis=1) - no / 2
        positive, negative = yes.sum(1), no.sum(1)
        there = positive * negative > 0
        area = (yes * below).sum(1)[there] / (positive * negative)[there]
        return float(area.mean()) if there.any() else 0.0

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = arrays
        classes = x.shape[-1]
        scores, right = x.reshape(-1, classes).astype(np.float64), t.reshape(-1)
        if t.dtype.kind == "i":
            p = np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
            scores = np.log(p) - np.log(np.maximum(1 - p, TINY))
            answers = right[:, None] == np.arange(classes)
        else:
            answers = t.reshape(-1, classes) > 0.5
        scores = np.clip(scores, -LARGEST, LARGEST)
        size = np.abs(scores)
        far = NEAR * size / (1 + size) + (1 - NEAR) * np.log1p(size) / np.log1p(LARGEST)
        bins = np.floor((np.copysign(far, scores) + 1) * (0.5 * self.thresholds))
        areas = [self._area(bins[:, k], answers[:, k]) for k in range(classes)]
        known = [area for area in areas if area is not None]
        return (np.asarray(np.mean(known) if known else 0.0, x.dtype),)

    @staticmethod
    def _area(scores: Array, answers: Array) -> float | None:
        """By every pair; None where there is none."""
        difference = scores[answers][:, None] - scores[~answers]
        return float((np.sign(difference) + 1).mean() / 2) if difference.size else None

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Several classes, one logit, several answers, maps, few thresholds, what does not fit."""
        return (
            Sample(cls(), ((30, 3), (30,)), integers={1: 3}, smooth=False),
            Sample(cls(7), ((30, 1), (30, 1)), smooth=False),
            Sample(cls(100), ((9, 3), (9, 3)), smooth=False),
            Sample(cls(100), ((2, 3, 3, 4), (2, 3, 3)), integers={1: 2}, smooth=False),
            Sample(cls(), ((6, 3), (5,)), integers={1: 3}, error="a label for each"),
        )
