"""`cross_entropy`: classes against labels or distributions, per sample or per cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.accumulator import Sum
from netdsl.ops.base import setting
from netdsl.ops.loss import Loss
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import fraction, label_number, number
from netdsl.ops.softmax import log_softmax
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, as_expr, eq, where
from netdsl.source import counted


def _class_weights(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be a list of numbers, not {value!r}")
    weights = tuple(number(v) for v in value)
    if min(weights) < 0 or max(weights) == 0:
        raise ValueError(f"must be 0 or more, and one of them above 0, not {value!r}")
    return weights


def _over_map(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Weights per sample or per cell, so that they broadcast to logits of this rank."""
    return (*shape, *(1,) * (rank - len(shape)))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """`-log softmax(prediction)[label]`, averaged; the prediction are logits `[..., classes]`.

    The target are labels (i64 `[...]`) or probabilities (f32 `[..., classes]`).  `label_smoothing` mixes the
    target with the uniform distribution (Szegedy et al. 2015).  With `class_weights` and labels the mean is
    divided by the sum of the labels' weights, as in PyTorch; cells whose label is `ignore_index` do not count, above
    and below, and where none counts the loss is 0.  Weights are one per sample, or one per cell of a map (Ronneberger
    et al. 2015).
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: float = setting("share of the uniform distribution in the target", 0.0, fraction)
    class_weights: tuple[float, ...] | None = setting("one weight per class", None, _class_weights)
    ignore_index: int | None = setting("label of cells that do not count", None, label_number)

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """Labels."""
        return TensorType(prediction.shape[:-1], "i64")

    def check_target(self, prediction: TensorType, target: TensorType) -> None:
        """Labels or probabilities."""
        if prediction.rank < 2 or prediction.dtype != "f32":
            raise ShapeError(f"cross_entropy takes logits [..., classes], not {prediction.words}", operand=0)
        if target not in (prediction, self.target(prediction)):
            expected = f"{self.target(prediction).words} or {prediction.words}"
            message = f"the target of {prediction.words} is {expected}, not {target.words}"
            raise ShapeError(message, operand=1)
        if self.ignore_index is not None and target.dtype != "i64":
            raise ShapeError("ignore_index is for labels", setting="ignore_index")
        classes = prediction.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            message = f"{counted(len(self.class_weights), 'class weight')} for {counted(classes, 'class')}"
            raise ShapeError(message, setting="class_weights")

    def weights_fit(self, prediction: TensorType, weights: TensorType) -> bool:
        """One per sample, or one per cell."""
        return weights.shape in (prediction.shape[:1], prediction.shape[:-1])

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """Log-softmax, a weighted sum over everything, and the weights."""
        logits = log_softmax(b, values[0])
        shape = b.type(logits).shape
        operands = [logits, self._target_operand(b, values[1], shape)]
        weights = self.class_weights or (1.0,) * shape[-1]
        operands.append(b.table(TensorType(shape[-1:]), lambda: np.array(weights, np.float32)))
        if len(values) == 3:
            operands.append(b.reshape(values[2], _over_map(b.type(values[2]).shape, len(shape))))
        labels = b.type(values[1]).dtype == "i64"

        def element(lp: Expr, t: Expr, w: Expr, sample: Expr | float = 1.0) -> Expr:
            loss = self._share(-lp, t, len(shape) - 1, shape[-1], labels) * sample
            return self._counted(t, loss if self.class_weights is None else loss * w, 0.0)

        total = b.reduce("sum", element, *operands, axes=range(len(shape)))
        return total, self._weight(b, operands[1], operands[2], shape, labels)

    def _weight(
        self, b: PrimitiveBuilder, target: Value, weights: Value, shape: tuple[int, ...], labels: bool
    ) -> Sum:
        """The divisor: the sum of the labels' weights, or the number of cells that count."""
        axes = range(len(shape))
        if labels and self.class_weights is not None:

            def weight(t: Expr, w: Expr) -> Expr:
                return self._counted(t, where(eq(Index(len(shape) - 1), t), w, 0.0), 0.0)

            return b.reduce("sum", weight, target, weights, axes=axes)
        if self.ignore_index is not None:
            return b.reduce("sum", lambda t: self._counted(t, as_expr(1), 0), target, axes=axes)
        return math.prod(shape[:-1])

    def _counted(self, t: Expr, value: Expr, nothing: float) -> Expr:
        """The value, or nothing where the label says that the cell does not count."""
        return value if self.ignore_index is None else where(eq(t, self.ignore_index), nothing, value)

    def _target_operand(self, b: PrimitiveBuilder, target: Value, shape: tuple[int, ...]) -> Value:
        return b.reshape(target, (*shape[:-1], 1)) if b.type(target).dtype == "i64" else target

    def _share(self, surprise: Expr, t: Expr, axis: int, classes: int, labels: bool) -> Expr:
        """What one class adds: `-log p` times its share of the target distribution."""
        rest = self.label_smoothing / classes
        if not labels:
            return surprise * (t * (1.0 - self.label_smoothing) + rest)
        if rest == 0:
            # Chosen, not multiplied by 0: where a logit is far below the others, -log p is infinite.
            return where(eq(Index(axis), t), surprise, 0.0)
        return surprise * where(eq(Index(axis), t), 1.0 - self.label_smoothing + rest, rest)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`SoftmaxCrossEntropyLoss`, which takes labels and class weights alone."""
        logits, target = types[:2]
        if target.dtype != "i64" or len(names) == 3 or self.label_smoothing:
            return None
        weights = () if self.class_weights is None else (m.const(np.array(self.class_weights)),)
        scores = m.channels_first(names[0], logits.rank)
        skipped = {} if self.ignore_index is None else {"ignore_index": self.ignore_index}
        return (m.node("SoftmaxCrossEntropyLoss", scores, names[1], *weights, reduction="mean", **skipped),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Explicit distributions."""
        x, t = arrays[0], arrays[1]
        classes = x.shape[-1]
        logp = x - np.logaddexp.reduce(x, axis=-1, keepdims=True)
        labels = t.dtype.kind == "i"
        counted = t != self.ignore_index if labels else np.ones(t.shape[:-1], np.bool_)
        target = np.eye(classes)[np.where(counted, t, 0)] if labels else t
        smooth = (1 - self.label_smoothing) * target + self.label_smoothing / classes
        weights = np.array(self.class_weights or [1.0] * classes)
        losses = -(weights * smooth * logp).sum(-1) * counted
        if len(arrays) == 3:
            losses = losses * arrays[2].reshape(*arrays[2].shape, *(1,) * (losses.ndim - arrays[2].ndim))
        if labels and (self.class_weights is not None or self.ignore_index is not None):
            total = weights[t[counted]].sum()
            return (np.asarray(losses.sum() / total if total else 0.0, x.dtype),)
        return (np.asarray(losses.mean(), x.dtype),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Labels and probabilities, smoothing, class and sample weights, per-pixel labels, misfits."""
        weights = (0.5, 1.0, 2.0, 0.1)
        return (
            Sample(cls(), ((5, 4), (5,)), integers={1: 4}),
            Sample(cls(), ((5, 4), (5, 4)), low=0.0),
            Sample(cls(label_smoothing=0.1), ((5, 4), (5,)), integers={1: 4}),
            Sample(cls(class_weights=weights), ((5, 4), (5,)), integers={1: 4}),
            Sample(cls(0.2, weights), ((5, 4), (5,), (5,)), integers={1: 4}, low=0.1),
            Sample(cls(), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}),
            Sample(cls(ignore_index=2), ((2, 3, 2, 4), (2, 3, 2)), integers={1: 4}),
            Sample(cls(0.1, weights, 0), ((2, 3, 4), (2, 3), (2, 3)), integers={1: 4}, low=0.1),
            Sample(cls(), ((2, 3, 2, 4), (2, 3, 2), (2, 3, 2)), integers={1: 4}, low=0.1),
            Sample(cls(ignore_index=1), ((5, 4), (5, 4)), error="ignore_index is for labels"),
            Sample(cls(), ((5, 4), (4,)), integers={1: 4}, error="the target of"),
            Sample(cls(class_weights=(1.0,)), ((5, 4), (5,)), integers={1: 4}, error="1 class weight for"),
        )
