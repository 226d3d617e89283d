"""Adaptive moments: adam, adamw, adamax, nadam and lamb."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.scalar import Expr, absolute, maximum, sqrt
from netdsl.train.make import bounded, positive
from netdsl.train.optimizers.base import New, Optimizer, Terms, check_switches
from netdsl.train.optimizers.momentum import both_or_one


@dataclass(frozen=True)
class Moments(Optimizer):
    """Base of those that keep a running mean of gradients, and of their squares or sizes."""

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")
    lr: float = positive(0.001)
    beta1: float = bounded(0.9, 0.0, 0.999999)
    beta2: float = bounded(0.999, 0.0, 0.999999)
    eps: float = bounded(1e-8, 0.0)

    def with_momentum(self, momentum: float) -> Optimizer:
        """Itself: the momentum is beta1."""
        return self

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate, the share of the new gradient in the mean, the factors that undo the bias to zero.

        A scheduled momentum takes the place of beta1, as in PyTorch.
        """
        beta1, t = self.beta1 if momentum is None else momentum, step + 1
        return {
            "lr": lr,
            "fresh": 1.0 - beta1,
            "correction1": 1.0 / (1.0 - beta1**t),
            "correction2": (1.0 - self.beta2**t) ** -0.5,
        }

    def mean(self, t: Terms, g: Expr) -> Expr:
        """The new running mean of the gradients."""
        return t.slots["mean"] + t.hyper["fresh"] * (g - t.slots["mean"])

    def square(self, t: Terms, g: Expr) -> Expr:
        """That of their squares."""
        return self.beta2 * t.slots["square"] + (1 - self.beta2) * (g * g)


@dataclass(frozen=True)
class Adam(Moments):
    """Adaptive moments with bias correction.

    `m = beta1 * m + (1 - beta1) * g; s = beta2 * s + (1 - beta2) * g^2;
    w = w - lr * (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + eps)` in step t, from 1; `amsgrad` divides by the
    largest s so far.  Weight decay is added to the gradient.  Kingma and Ba 2014, Reddi et al. 2018; PyTorch Adam.
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "square", "largest")
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "amsgrad")

    def used_slots(self) -> tuple[str, ...]:
        """The largest squares with amsgrad alone."""
        return self.slots if self.amsgrad else self.slots[:2]

    @override
    def update(self, t: Terms) -> New:
        step, new = self.step(t, t.decayed)
        return t.w - step, new

    def step(self, t: Terms, g: Expr) -> New:
        """What is taken from the weight, and the slots."""
        new = {"mean": self.mean(t, g), "square": self.square(t, g)}
        square = new["square"]
        if self.amsgrad:
            square = new["largest"] = maximum(t.slots["largest"], square)
        size = sqrt(square) * t.hyper["correction2"] + self.eps
        return (t.lr * t.hyper["correction1"]) * new["mean"] / size, new


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, `w = w - lr * weight_decay * w` first.  Loshchilov and Hutter 2017."""

    weight_decay: float = bounded(0.01, 0.0)

    @override
    def update(self, t: Terms) -> New:
        step, new = self.step(t, t.g)
        return t.kept - step, new


@dataclass(frozen=True)
class Adamax(Moments):
    """Adam with the largest gradient, which fades, in place of the root of the mean square.

    `m = beta1 * m + (1 - beta1) * g; u = max(beta2 * u, |g| + eps); w = w - lr / (1 - beta1^t) * m / u`.
    Weight decay is added to the gradient.  Kingma and Ba 2014; PyTorch Adamax.
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "largest")
    lr: float = positive(0.002)

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        mean, largest = self.mean(t, g), maximum(self.beta2 * t.slots["largest"], absolute(g) + self.eps)
        step = (t.lr * t.hyper["correction1"]) * mean / largest
        return t.w - step, {"mean": mean, "largest": largest}


@dataclass(frozen=True)
class NAdam(Moments):
    """Adam with Nesterov's look ahead, and a momentum that grows in the first steps.

    With `u(t) = beta1 * (1 - 0.5 * 0.96^(t * momentum_decay))` and U(t) the product of the u up to step t:
    `w = w - lr * ((1 - u(t)) / (1 - U(t)) * g + u(t+1) / (1 - U(t+1)) * m) / (sqrt(s / (1 - beta2^t)) + eps)`.
    Weight decay is added to the gradient.  Dozat 2016; PyTorch NAdam.
    """

    lr: float = positive(0.002)
    momentum_decay: float = bounded(0.004, 0.0)

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """As Adam's, with the shares of the gradient and of the mean in a step."""
        found = super().scalars(step, lr, momentum)
        beta1, t = self.beta1 if momentum is None else momentum, step + 1
        now, later = (beta1 * (1 - 0.5 * 0.96 ** (k * self.momentum_decay)) for k in (t, t + 1))
        product, longer = (beta1**k * _product(self.momentum_decay, k) for k in (t, t + 1))
        del found["correction1"]
        return {**found, "of_gradient": (1 - now) / (1 - product), "of_mean": later / (1 - longer)}

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        mean, square = self.mean(t, g), self.square(t, g)
        size = sqrt(square) * t.hyper["correction2"] + self.eps
        direction = t.hyper["of_gradient"] * g + t.hyper["of_mean"] * mean
        return t.w - t.lr * direction / size, {"mean": mean, "square": square}


@functools.cache
def _products(decay: float) -> list[float]:
    return [1.0]


def _product(decay: float, t: int) -> float:
    """The product of `1 - 0.5 * 0.96^(k * decay)` over k = 1 ... t; after 100,000 steps beta1^t makes it 0 anyway."""
    known = _products(decay)
    t = min(t, 100_000)
    while len(known) <= t:
        known.append(known[-1] * (1 - 0.5 * 0.96 ** (len(known) * decay)))
    return known[t]


@dataclass(frozen=True)
class Lamb(Moments):
    """Adam whose steps are as large as their weights, layer by layer, for very large batches.

    `r = m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps) + weight_decay * w; w = w - lr * |w| / |r| * r`.  The
    factor |w| / |r| is 1 for biases and normalisation, and where one of the norms is 0.  You et al. 2019.
    """

    eps: float = bounded(1e-6, 0.0)

    @override
    def update(self, t: Terms) -> New:
        mean, square = self.mean(t, t.g), self.square(t, t.g)
        size = sqrt(square) * t.hyper["correction2"] + self.eps
        step = t.hyper["correction1"] * mean / size
        if t.weight.decay:
            step = step + t.weight.decay * t.w
        ratio: Expr | float = 1.0
        if t.weight.kernel:
            length, change = t.norm(t.w), t.norm(step)
            ratio = both_or_one(length, change, length / change)
        return t.w - t.lr * ratio * step, {"mean": mean, "square": square}
