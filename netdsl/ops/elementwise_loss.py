"""Losses that are the mean of an expression of each element of the prediction and its target."""

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
from netdsl.ops.logistic import logistic_loss
from netdsl.ops.loss import Loss
from netdsl.ops.settings import boolean, number, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, absolute, log, maximum, minimum, power, sigmoid, where


@dataclass(frozen=True)
class ElementwiseLoss(Loss):
    """Base: the mean of a scalar expression of prediction and target."""

    scalars: ClassVar[bool] = True

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """The loss of one element."""
        raise NotImplementedError(f"{self.name} has no expression")

    def sums(self, b: PrimitiveBuilder, *values: Value) -> tuple[Sum, ...]:
        """The losses of all elements, and how many there are."""
        shape = b.type(values[0]).shape
        count, axes = math.prod(shape), range(len(shape))
        if len(values) == 2:
            return b.reduce("sum", self.scalar, *values, axes=axes), count
        own = b.type(values[2]).shape
        weight = b.reshape(values[2], (*own, *(1,) * (len(shape) - len(own))))

        def weighted(x: Expr, t: Expr, w: Expr) -> Expr:
            return w * self.scalar(x, t)

        return b.reduce("sum", weighted, *values[:2], weight, axes=axes), count

    def elements(self, x: Array, t: Array) -> Array:
        """The loss of each element in NumPy."""
        raise NotImplementedError(f"{self.name} has no reference")

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The weighted mean over all elements."""
        losses = self.elements(arrays[0], arrays[1])
        if len(arrays) == 3:
            losses = losses * arrays[2].reshape(*arrays[2].shape, *(1,) * (losses.ndim - arrays[2].ndim))
        return (np.asarray(losses.mean()),)

    def weights_fit(self, prediction: TensorType, weights: TensorType) -> bool:
        """One per sample, or per part of it down to the elements: a beginning of the prediction's shape."""
        return weights.rank > 0 and weights.shape == prediction.shape[: weights.rank]

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Vectors, maps, weights, shapes that differ."""
        return (
            Sample(cls(), ((3, 4), (3, 4)), low=0.1, high=0.9),
            Sample(cls(), ((2, 3, 2, 1), (2, 3, 2, 1)), low=0.1, high=0.9),
            Sample(cls(), ((3, 4), (3, 4), (3,)), low=0.1, high=0.9),
            Sample(cls(), ((2, 3, 4), (2, 3, 4), (2, 3)), low=0.1, high=0.9),
            Sample(cls(), ((3, 4), (3, 5)), error="compares"),
            Sample(cls(), ((3, 4), (3, 4), (4,)), error="one per sample"),
        )


@dataclass(frozen=True)
class Mse(ElementwiseLoss):
    """The mean of the squared errors."""

    name: ClassVar[str] = "mse"

    @override
    def scalar(self, x: Expr, t: Expr) -> Expr:
        return (x - t) * (x - t)

    @override
    def elements(self, x: Array, t: Array) -> Array:
        return np.asarray(np.square(x - t))


@dataclass(frozen=True)
class Mae(ElementwiseLoss):
    """The mean of the absolute errors."""

    name: ClassVar[str] = "mae"

    @override
    def scalar(self, x: Expr, t: Expr) -> Expr:
        return absolute(x - t)

    @override
    def elements(self, x: Array, t: Array) -> Array:
        return np.asarray(np.abs(x - t))


@dataclass(frozen=True)
class Huber(ElementwiseLoss):
    """Quadratic for errors up to `delta`, linear beyond.  Huber 1964; PyTorch HuberLoss."""

    name: ClassVar[str] = "huber"
    delta: float = setting("where the loss turns linear", 1.0, positive_number)

    @override
    def scalar(self, x: Expr, t: Expr) -> Expr:
        error, distance = x - t, absolute(x - t)
        return where(
            distance <= self.delta, 0.5 * (error * error), self.delta * (distance - 0.5 * self.delta)
        )

    def elements(self, x: Array, t: Array) -> Array:
        """By the part of the error that is clipped."""
        error = np.abs(x - t)
        inner = np.minimum(error, self.delta)
        return np.asarray(0.5 * inner**2 + self.delta * (error - inner))

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (*super().samples(), Sample(cls(0.2), ((5, 4), (5, 4)), low=-1.0, high=1.0))


@dataclass(frozen=True)
class SmoothL1(ElementwiseLoss):
    """`0.5 * e^2 / beta` for errors up to `beta`, `|e| - 0.5 * beta` beyond.  Girshick 2015; PyTorch SmoothL1Loss."""

    name: ClassVar[str] = "smooth_l1"
    beta: float = setting("where the loss turns linear", 1.0, positive_number)

    @override
    def scalar(self, x: Expr, t: Expr) -> Expr:
        error, distance = x - t, absolute(x - t)
        return where(distance <= self.beta, (0.5 / self.beta) * (error * error), distance - 0.5 * self.beta)

    def elements(self, x: Array, t: Array) -> Array:
        """By the part of the error that is clipped."""
        error = np.abs(x - t)
        inner = np.minimum(error, self.beta)
        return np.asarray(0.5 * inner**2 / self.beta + (error - inner))

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (*super().samples(), Sample(cls(0.2), ((5, 4), (5, 4)), low=-1.0, high=1.0))


@dataclass(frozen=True)
class Hinge(ElementwiseLoss):
    """`max(0, margin - t * x)` for targets of -1 and 1, the loss of support vector machines.  Keras Hinge."""

    name: ClassVar[str] = "hinge"
    margin: float = setting("how far from 0 a right answer must be", 1.0, number)

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """The distance to the margin, or 0."""
        return maximum(self.margin - t * x, 0.0)

    @override
    def elements(self, x: Array, t: Array) -> Array:
        return np.asarray(np.maximum(self.margin - t * x, 0))


@dataclass(frozen=True)
class KlDivergence(ElementwiseLoss):
    """`t * (log t - x)` for log-probabilities x and probabilities t, per element; PyTorch KLDivLoss (mean).

    Kullback and Leibler 1951.  Where t is 0 the loss is 0.
    """

    name: ClassVar[str] = "kl_divergence"

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """The definition, without the logarithm of 0."""
        return where(t > 0.0, t * (log(maximum(t, 1e-38)) - x), 0.0)

    @override
    def elements(self, x: Array, t: Array) -> Array:
        return np.asarray(t * (np.log(np.where(t > 0, t, 1)) - x))


EPSILON = 1e-7


@dataclass(frozen=True)
class BinaryCrossEntropy(ElementwiseLoss):
    """`-(t log p + (1 - t) log(1 - p))` with `p = sigmoid(prediction)`, computed without overflow.

    With `from_logits = false` the prediction is p itself, clipped to [1e-7, 1 - 1e-7] as Keras does.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    from_logits: bool = setting("the prediction is before the sigmoid", True, boolean)

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """From logits or from probabilities."""
        if self.from_logits:
            return logistic_loss(x, t)
        # Both are clipped, because 1 - (1 - 1e-7) has one digit left.
        p, q = (minimum(maximum(v, EPSILON), 1.0 - EPSILON) for v in (x, 1.0 - x))
        return -(t * log(p) + (1.0 - t) * log(q))

    def elements(self, x: Array, t: Array) -> Array:
        """By `numpy.logaddexp`, or by the definition."""
        if self.from_logits:
            return np.asarray(np.logaddexp(x, 0) - x * t)
        p = np.clip(x, EPSILON, 1 - EPSILON)
        return np.asarray(-(t * np.log(p) + (1 - t) * np.log(1 - p)))

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (*super().samples(), Sample(cls(from_logits=False), ((3, 4), (3, 4)), low=0.1, high=0.9))


def _not_negative(value: Any) -> float:
    if number(value) < 0:
        raise ValueError(f"must be 0 or more, not {value!r}")
    return number(value)


@dataclass(frozen=True)
class Focal(ElementwiseLoss):
    """`-alpha_t * (1 - p_t)^gamma * log(p_t)`, `p = sigmoid(prediction)`: easy cells count little.  Lin et al. 2017.

    `p_t` is p where the target is 1 and 1 - p where it is 0; `alpha_t` likewise alpha or 1 - alpha.
    """

    name: ClassVar[str] = "focal"
    gamma: float = setting("how little easy cells count, 0 or more", 2.0, _not_negative)
    alpha: float = setting("weight of the target 1; below 0: none", 0.25, number)

    def scalar(self, x: Expr, t: Expr) -> Expr:
        """Binary cross entropy, weighted by the error of the probability."""
        wrong = t * sigmoid(-x) + (1.0 - t) * sigmoid(x)
        # Where a cell is right beyond all digits its loss is flat: wrong^(gamma - 2) is still a number of float32.
        loss = where(wrong > 1e-19, power(wrong, self.gamma), 0.0) * logistic_loss(x, t)
        return loss if self.alpha < 0 else loss * (self.alpha * t + (1.0 - self.alpha) * (1.0 - t))

    @override
    def elements(self, x: Array, t: Array) -> Array:
        p = 1 / (1 + np.exp(-x))
        wrong = t * (1 - p) + (1 - t) * p
        loss = wrong**self.gamma * (np.logaddexp(x, 0) - x * t)
        weight = 1.0 if self.alpha < 0 else self.alpha * t + (1 - self.alpha) * (1 - t)
        return np.asarray(loss * weight)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """With and without a weight, a loss that rises like a root."""
        others = (Sample(op, ((3, 4), (3, 4)), low=0.1, high=0.9) for op in (cls(1.5, -1.0), cls(0.5)))
        return (*super().samples(), *others)
