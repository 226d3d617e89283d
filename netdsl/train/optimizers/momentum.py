"""Gradient descent with momentum: sgd, lars and lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.scalar import Expr, logical_and, sign, where
from netdsl.train.make import bounded, positive
from netdsl.train.optimizers.base import New, Optimizer, Terms, WithMomentum, check_switches


@dataclass(frozen=True)
class Sgd(WithMomentum):
    """Gradient descent: `v = momentum * v + (1 - dampening) * g; w = w - lr * v`.

    With Nesterov's look ahead `w = w - lr * (g + momentum * v)`.  The first gradient is not dampened.  Weight decay
    is added to the gradient.  Polyak 1964, Nesterov 1983, Sutskever et al. 2013; PyTorch SGD.
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum",)
    nesterov: bool = False
    dampening: float = bounded(0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "nesterov")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum, such as 0.9")
        if self.dampening and (self.nesterov or not self.momentum):
            raise ValueError("dampening needs a momentum, such as 0.9, and no nesterov")

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate, momentum and the share of the new gradient."""
        found = super().scalars(step, lr, momentum)
        return {**found, "fresh": 1.0 - self.dampening if step else 1.0} if self.dampening else found

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        if not t.slots:
            return t.w - t.lr * g, {}
        new = t.hyper["fresh"] * g if self.dampening else g
        velocity = t.hyper["momentum"] * t.slots["momentum"] + new
        direction = g + t.hyper["momentum"] * velocity if self.nesterov else velocity
        return t.w - t.lr * direction, {"momentum": velocity}


@dataclass(frozen=True)
class Lars(WithMomentum):
    """Gradient descent whose gradients are as large as their weights, layer by layer, for very large batches.

    `g = g + weight_decay * w`, times `trust * |w| / (|g| + weight_decay * |w| + eps)`, then the step of `sgd`.  The
    factor is 1 for biases and normalisation, and where one of the norms is 0.  You et al. 2017; timm Lars.
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum",)
    lr: float = positive(1.0)
    momentum: float = bounded(0.9, 0.0, 1.0)
    trust: float = bounded(0.001, 0.0)
    eps: float = bounded(1e-8, 0.0)
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "nesterov")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum, such as 0.9")

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        if t.weight.kernel:
            size, slope = t.norm(t.w), t.norm(t.g)
            ratio = self.trust * size / (slope + t.weight.decay * size + self.eps)
            g = g * both_or_one(size, slope, ratio)
        if not t.slots:
            return t.w - t.lr * g, {}
        velocity = t.hyper["momentum"] * t.slots["momentum"] + g
        direction = g + t.hyper["momentum"] * velocity if self.nesterov else velocity
        return t.w - t.lr * direction, {"momentum": velocity}


def both_or_one(a: Expr, b: Expr, ratio: Expr) -> Expr:
    """A ratio where both norms are above 0, else 1."""
    return where(logical_and(a > 0.0, b > 0.0), ratio, 1.0)


@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one size: the sign of a mean of gradients.

    `w = w - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w); m = beta2 * m + (1 - beta2) * g`.
    It wants a rate 3 to 10 times smaller than Adam's, and a weight decay as much larger.  Chen et al. 2023.
    """

    slots: ClassVar[tuple[str, ...]] = ("mean",)
    lr: float = positive(1e-4)
    beta1: float = bounded(0.9, 0.0, 1.0)
    beta2: float = bounded(0.99, 0.0, 1.0)

    def with_momentum(self, momentum: float) -> Optimizer:
        """Itself: the momentum is beta1."""
        return self

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate and beta1."""
        return {"lr": lr, "beta1": self.beta1 if momentum is None else momentum}

    @override
    def update(self, t: Terms) -> New:
        mean, beta1 = t.slots["mean"], t.hyper["beta1"]
        direction = sign(beta1 * mean + (1.0 - beta1) * t.g)
        return t.kept - t.lr * direction, {"mean": self.beta2 * mean + (1 - self.beta2) * t.g}
