"""`precision`, `recall`, `f1`, `mean_iou` and `dice_score`: metrics of each class, and their mean over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.accumulator import Sum
from netdsl.ops.base import setting
from netdsl.ops.hits import OfClasses, counts, masks
from netdsl.ops.settings import label_number, number, one_of
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, cast_float, eq, logical_or, where

Fraction = tuple[Any, Any]


def _average(value: Any) -> str | None:
    return None if value is None else str(one_of("macro", "micro", "weighted", "none")(value))


@dataclass(frozen=True)
class PerClass(OfClasses):
    """Base: a fraction for each class, 0 where nothing stands below, and their average over the classes.

    `average` is scikit-learn's: `macro`, the mean over the classes that occur or are answered, `weighted`, by how
    often each occurs, `micro`, the fraction of the sums of all classes, or `none`, a list of all classes.
    """

    average: str | None = setting(
        "macro, micro, weighted, or none: a number for each class", "macro", _average
    )
    threshold: float = setting("predictions above it say yes, where each is an answer by itself", 0.0, number)
    ignore_index: int | None = setting("label of cells that do not count", None, label_number)

    def fraction(self, hits: Any, answers: Any, rights: Any) -> Fraction:
        """What stands above and below, from three counts of a class: expressions or arrays."""
        raise NotImplementedError(f"{self.name} has no fraction")

    @property
    def listed(self) -> bool:
        """Whether the result is a list, one number for each class."""
        return self.average in (None, "none")

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_pair(types)
        if types[1].dtype == "i64" and self.threshold != 0:
            message = (
                "threshold is for answers of yes and no: of classes the largest prediction is the answer"
            )
            raise ShapeError(message, setting="threshold")
        if types[1].dtype == "f32" and self.ignore_index is not None:
            message = "ignore_index is for labels that are class numbers; these are zeros and ones"
            raise ShapeError(message, setting="ignore_index")
        return (TensorType(types[0].shape[-1:] if self.listed else ()),)

    @override
    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        x, t = values
        return counts(b, x, t, self.threshold, self.ignore_index)

    @override
    def combine(self, b: PrimitiveBuilder, *sums: Sum) -> Value:
        parts = [b.map(cast_float, s) for s in sums if isinstance(s, Value)]
        if self.average == "micro":
            above = b.reduce("sum", lambda *p: self.fraction(*p)[0], *parts, axes=(0,))
            below = b.reduce("sum", lambda *p: self.fraction(*p)[1], *parts, axes=(0,))
            return b.map(_quotient, above, below)
        each = b.map(lambda *p: _quotient(*self.fraction(*p)), *parts)
        if self.listed:
            return each
        weight = parts[2] if self.average == "weighted" else b.map(_there, *parts[1:])
        total = b.reduce("sum", lambda v, w: v * w, each, weight, axes=(0,))
        return b.map(_quotient, total, b.reduce("sum", lambda w: w, weight, axes=(0,)))

    @override
    def result(self, *sums: Sequence[float]) -> Any:
        hits, answers, rights = map(np.asarray, sums)
        above, below = self.fraction(hits, answers, rights)
        if self.average == "micro":
            return _ratio(above.sum(), below.sum()).item()
        each = _ratio(above, below)
        if self.listed:
            return each.tolist()
        weight = rights if self.average == "weighted" else ((answers + rights) > 0).astype(np.float64)
        return _ratio((each * weight).sum(), weight.sum()).item()

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, t = arrays
        said, right = masks(x, t, self.threshold, self.ignore_index)
        parts = [
            (int((s & r).sum()), int(s.sum()), int(r.sum())) for s, r in zip(said.T, right.T, strict=True)
        ]
        pairs = [self.fraction(*p) for p in parts]
        each = [above / below if below else 0.0 for above, below in pairs]
        if self.listed:
            return (np.asarray(each, arrays[0].dtype),)
        weights = [r if self.average == "weighted" else float(s + r > 0) for _, s, r in parts]
        if self.average == "micro":
            above, below = (sum(p[k] for p in pairs) for k in (0, 1))
        else:
            above, below = sum(v * w for v, w in zip(each, weights, strict=True)), sum(weights)
        return (np.asarray(above / below if below else 0.0, arrays[0].dtype),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        """Rows and maps, all averages, one logit, several answers, an ignored label, what does not fit."""
        return (
            Sample(cls(), ((9, 4), (9,)), integers={1: 4}, smooth=False),
            Sample(cls("none"), ((9, 6), (9,)), integers={1: 5}, smooth=False),
            Sample(cls("weighted"), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}, smooth=False),
            Sample(cls("micro"), ((9, 4), (9,)), integers={1: 4}, smooth=False),
            Sample(cls(ignore_index=1), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}, smooth=False),
            Sample(cls(), ((7, 1), (7, 1)), smooth=False),
            Sample(cls("none", 0.2), ((6, 3), (6, 3)), smooth=False),
            Sample(cls(threshold=0.5), ((6, 3), (6,)), integers={1: 3}, error="threshold is for answers"),
            Sample(cls(ignore_index=1), ((6, 3), (6, 3)), error="ignore_index is for labels"),
            Sample(cls(), ((6, 3), (5,)), integers={1: 3}, error="a label for each"),
            Sample(cls(), ((6, 1), (6,)), integers={1: 1}, error="a label for each"),
        )


def _quotient(above: Expr, below: Expr) -> Expr:
    return where(eq(below, 0.0), 0.0, above / where(eq(below, 0.0), 1.0, below))


def _there(answers: Expr, rights: Expr) -> Expr:
    return where(logical_or(answers > 0.0, rights > 0.0), 1.0, 0.0)


def _ratio(above: Any, below: Any) -> Array:
    below = np.asarray(below, np.float64)
    return np.asarray(np.where(below == 0, 0.0, above / np.where(below == 0, 1.0, below)))


@dataclass(frozen=True)
class Precision(PerClass):
    """Of the answers of a class, the share that is right; averaged over the classes.

    scikit-learn precision_score, with `zero_division = 0`; Keras Precision.
    """

    name: ClassVar[str] = "precision"

    @override
    def fraction(self, hits: Any, answers: Any, rights: Any) -> Fraction:
        return hits, answers


@dataclass(frozen=True)
class Recall(PerClass):
    """Of the samples of a class, the share that is answered so; averaged over the classes.

    scikit-learn recall_score, with `zero_division = 0`; Keras Recall.
    """

    name: ClassVar[str] = "recall"

    @override
    def fraction(self, hits: Any, answers: Any, rights: Any) -> Fraction:
        return hits, rights


@dataclass(frozen=True)
class F1(PerClass):
    """`2 * hits / (answers + samples)` of a class, the harmonic mean of precision and recall; averaged.

    scikit-learn f1_score, with `zero_division = 0`; Keras F1Score.
    """

    name: ClassVar[str] = "f1"

    @override
    def fraction(self, hits: Any, answers: Any, rights: Any) -> Fraction:
        return hits + hits, answers + rights


@dataclass(frozen=True)
class DiceScore(F1):
    """The overlap of two maps, `2 * hits / (answers + cells)` of a class over the whole set: `f1` of the cells.

    The loss is `dice`.  Dice 1945.
    """

    name: ClassVar[str] = "dice_score"


@dataclass(frozen=True)
class MeanIou(PerClass):
    """`hits / (answers + cells - hits)` of a class over the whole set: intersection over union; averaged.

    Keras MeanIoU, scikit-learn jaccard_score.  The loss of boxes is `iou`.
    """

    name: ClassVar[str] = "mean_iou"

    @override
    def fraction(self, hits: Any, answers: Any, rights: Any) -> Fraction:
        return hits, answers + rights - hits
