"""Losses: a prediction, a target and optionally a weight per sample give one number, the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ir.op import Array
from netdsl.ops.activation import softplus
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, fraction, number, positive_number
from netdsl.ops.softmax import log_softmax
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, absolute, eq, log, maximum, minimum, where


@dataclass(frozen=True)
class Loss(LibraryOp):
    """Base: operands are the prediction, the target and, optionally, one weight per sample `[N]`.

    A weight multiplies the losses of its sample; the mean is still taken over all elements (Keras' rule), not divided
    by the sum of the weights.
    """

    operands: ClassVar[int | None] = None

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """The type of the target that belongs to a prediction."""
        return prediction

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """A scalar."""
        if not 2 <= len(types) <= 3:
            raise ShapeError(f"{self.name} takes a prediction, a target and perhaps weights", operand=0)
        self.check_target(types[0], types[1])
        if len(types) == 3 and types[2].shape != types[0].shape[:1]:
            raise ShapeError(f"weights are one per sample, not {list(types[2].shape[1:])}", operand=2)
        return (TensorType(()),)

    def check_target(self, prediction: TensorType, target: TensorType) -> None:
        """Raise ShapeError unless the target fits the prediction."""
        if target != prediction:
            raise ShapeError(f"{self.name} compares {prediction} with {target}", operand=1)

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """About five operations per predicted element."""
        return 5 * types[0].size


@dataclass(frozen=True)
class _Elementwise(Loss):
    """Base: the mean of a scalar expression of prediction and target."""

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """The loss of one element."""
        raise NotImplementedError(f"{self.name} has no expression")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One reduction over everything."""
        shape = b.type(values[0]).shape
        share, axes = 1.0 / math.prod(shape), range(len(shape))
        if len(values) == 2:
            return (b.reduce("sum", lambda x, t: self.scalar(x, t) * share, *values, axes=axes),)
        weight = b.reshape(values[2], (shape[0], *(1,) * (len(shape) - 1)))
        return (
            b.reduce("sum", lambda x, t, w: w * self.scalar(x, t) * share, *values[:2], weight, axes=axes),
        )

    def elements(self, x: Array, t: Array) -> Array:
        """The loss of each element in NumPy."""
        raise NotImplementedError(f"{self.name} has no reference")

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The weighted mean over all elements."""
        losses = self.elements(arrays[0], arrays[1])
        if len(arrays) == 3:
            losses = losses * arrays[2].reshape(-1, *(1,) * (losses.ndim - 1))
        return (np.asarray(losses.mean()),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Vectors, maps, weights, shapes that differ."""
        return (
            Sample(cls(), ((3, 4), (3, 4)), low=0.1, high=0.9),
            Sample(cls(), ((2, 3, 2, 1), (2, 3, 2, 1)), low=0.1, high=0.9),
            Sample(cls(), ((3, 4), (3, 4), (3,)), low=0.1, high=0.9),
            Sample(cls(), ((3, 4), (3, 5)), error="compares"),
            Sample(cls(), ((3, 4), (3, 4), (4,)), error="one per sample"),
        )


@dataclass(frozen=True)
class Mse(_Elementwise):
    """The mean of the squared errors."""

    name: ClassVar[str] = "mse"

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """`(x - t)^2`."""
        return (x - t) * (x - t)

    def elements(self, x: Array, t: Array) -> Array:
        """`numpy.square`."""
        return np.asarray(np.square(x - t))


@dataclass(frozen=True)
class Mae(_Elementwise):
    """The mean of the absolute errors."""

    name: ClassVar[str] = "mae"

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """`|x - t|`."""
        return absolute(x - t)

    def elements(self, x: Array, t: Array) -> Array:
        """`numpy.abs`."""
        return np.asarray(np.abs(x - t))


@dataclass(frozen=True)
class Huber(_Elementwise):
    """Quadratic for errors up to `delta`, linear beyond.  Huber 1964; PyTorch HuberLoss."""

    name: ClassVar[str] = "huber"
    delta: float = setting("where the loss turns linear", 1.0, positive_number)

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """Two pieces."""
        error = absolute(x - t)
        return where(error <= self.delta, 0.5 * (error * error), self.delta * (error - 0.5 * self.delta))

    def elements(self, x: Array, t: Array) -> Array:
        """By the part of the error that is clipped."""
        error = np.abs(x - t)
        inner = np.minimum(error, self.delta)
        return np.asarray(0.5 * inner**2 + self.delta * (error - inner))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both pieces."""
        return (*super().samples(), Sample(cls(0.2), ((5, 4), (5, 4)), low=-1.0, high=1.0))


EPSILON = 1e-7


@dataclass(frozen=True)
class BinaryCrossEntropy(_Elementwise):
    """`-(t log p + (1 - t) log(1 - p))` with `p = sigmoid(prediction)`, computed without overflow.

    With `from_logits = false` the prediction is p itself, clipped to [1e-7, 1 - 1e-7] as Keras does.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    from_logits: bool = setting("the prediction is before the sigmoid", True, boolean)

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """From logits or from probabilities."""
        if self.from_logits:
            return softplus(x) - x * t
        p = minimum(maximum(x, EPSILON), 1.0 - EPSILON)
        return -(t * log(p) + (1.0 - t) * log(1.0 - p))

    def elements(self, x: Array, t: Array) -> Array:
        """By `numpy.logaddexp`, or by the definition."""
        if self.from_logits:
            return np.asarray(np.logaddexp(x, 0) - x * t)
        p = np.clip(x, EPSILON, 1 - EPSILON)
        return np.asarray(-(t * np.log(p) + (1 - t) * np.log(1 - p)))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Probabilities too."""
        return (*super().samples(), Sample(cls(from_logits=False), ((3, 4), (3, 4)), low=0.1, high=0.9))


def _class_weights(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be a list of numbers, not {value!r}")
    return tuple(number(v) for v in value)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """`-log softmax(prediction)[label]`, averaged; the prediction are logits `[..., classes]`.

    The target are labels (i64 `[...]`) or probabilities (f32 `[..., classes]`).  `label_smoothing` mixes the
    target with the uniform distribution (Szegedy et al. 2015).  With `class_weights` and labels the mean is
    divided by the sum of the labels' weights, as in PyTorch.
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: float = setting("share of the uniform distribution in the target", 0.0, fraction)
    class_weights: tuple[float, ...] | None = setting("one weight per class", None, _class_weights)

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """Labels."""
        return TensorType(prediction.shape[:-1], "i64")

    def check_target(self, prediction: TensorType, target: TensorType) -> None:
        """Labels or probabilities."""
        if prediction.rank < 2 or prediction.dtype != "f32":
            raise ShapeError(f"cross_entropy takes logits [..., classes], not {prediction}", operand=0)
        if target not in (prediction, self.target(prediction)):
            message = f"the target of {prediction} is {self.target(prediction)} or {prediction}, not {target}"
            raise ShapeError(message, operand=1)
        classes = prediction.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            message = f"{len(self.class_weights)} class weights for {classes} classes"
            raise ShapeError(message, setting="class_weights")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Log-softmax, and a weighted sum over everything."""
        logits = log_softmax(b, values[0])
        shape = b.type(logits).shape
        operands = [logits, self._target_operand(b, values[1], shape)]
        operands.append(b.const(np.array(self.class_weights or (1.0,), np.float32)))
        if len(values) == 3:
            operands.append(b.reshape(values[2], (shape[0], *(1,) * (len(shape) - 1))))
        labels = b.type(values[1]).dtype == "i64"
        axes, share = range(len(shape)), 1.0 / math.prod(shape[:-1])
        divided = labels and self.class_weights is not None

        def element(lp: Expr, t: Expr, w: Expr, sample: Expr | float = 1.0) -> Expr:
            loss = -lp * self._probability(t, len(shape) - 1, shape[-1], labels)
            if self.class_weights is not None:
                loss = loss * w
            return loss * sample if divided else loss * sample * share

        total = b.reduce("sum", element, *operands, axes=axes)
        if not divided:
            return (total,)
        hit = b.reduce(
            "sum", lambda t, w: where(eq(Index(len(shape) - 1), t), w, 0.0), *operands[1:3], axes=axes
        )
        return (b.map(lambda s, h: s / h, total, hit),)

    def _target_operand(self, b: PrimitiveBuilder, target: Value, shape: tuple[int, ...]) -> Value:
        return b.reshape(target, (*shape[:-1], 1)) if b.type(target).dtype == "i64" else target

    def _probability(self, t: Expr, axis: int, classes: int, labels: bool) -> Expr:
        """The target distribution at one class."""
        rest = self.label_smoothing / classes
        if labels:
            return where(eq(Index(axis), t), 1.0 - self.label_smoothing + rest, rest)
        return t * (1.0 - self.label_smoothing) + rest

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`SoftmaxCrossEntropyLoss`, which takes labels and class weights alone."""
        logits, target = types[:2]
        if target.dtype != "i64" or len(names) == 3 or self.label_smoothing:
            return None
        weights = () if self.class_weights is None else (m.const(np.array(self.class_weights)),)
        scores = m.channels_first(names[0], logits.rank)
        return (m.node("SoftmaxCrossEntropyLoss", scores, names[1], *weights, reduction="mean"),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Explicit distributions."""
        x, t = arrays[0], arrays[1]
        classes = x.shape[-1]
        logp = x - np.logaddexp.reduce(x, axis=-1, keepdims=True)
        target = np.eye(classes)[t] if t.dtype.kind == "i" else t
        smooth = (1 - self.label_smoothing) * target + self.label_smoothing / classes
        weights = np.array(self.class_weights or [1.0] * classes)
        losses = -(weights * smooth * logp).sum(-1)
        if len(arrays) == 3:
            losses = losses * arrays[2].reshape(-1, *(1,) * (losses.ndim - 1))
        if self.class_weights is not None and t.dtype.kind == "i":
            return (np.asarray(losses.sum() / weights[t].sum(), x.dtype),)
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
            Sample(cls(), ((5, 4), (4,)), integers={1: 4}, error="the target of"),
            Sample(cls(class_weights=(1.0,)), ((5, 4), (5,)), integers={1: 4}, error="1 class weights"),
        )
