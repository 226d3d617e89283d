"""Gradients divided by what they were so far: adagrad, adadelta and rmsprop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.scalar import maximum, sqrt
from netdsl.train.make import bounded, positive
from netdsl.train.optimizers.base import New, Optimizer, Terms, Weight, WithMomentum, check_switches


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares.

    `s = s + g^2; w = w - lr * g / (sqrt(s) + eps)`, with s from `initial_accumulator_value`.  Weight decay is added
    to the gradient.  Duchi et al. 2011; PyTorch Adagrad, whose lr_decay is the schedule `inverse_time`.
    """

    slots: ClassVar[tuple[str, ...]] = ("square",)
    initial_accumulator_value: float = bounded(0.0, 0.0)
    eps: float = bounded(1e-10, 0.0)

    def slots_of(self, weight: Weight) -> Mapping[str, float]:
        """The sum, from its initial value."""
        return {"square": self.initial_accumulator_value}

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        square = t.slots["square"] + g * g
        return t.w - t.lr * g / (sqrt(square) + self.eps), {"square": square}


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Steps as large as the steps so far: no learning rate has to be found.

    `s = rho * s + (1 - rho) * g^2; d = sqrt(u + eps) / sqrt(s + eps) * g; u = rho * u + (1 - rho) * d^2;
    w = w - lr * d`.  Weight decay is added to the gradient.  Zeiler 2012; PyTorch Adadelta.
    """

    slots: ClassVar[tuple[str, ...]] = ("square", "step")
    lr: float = positive(1.0)
    rho: float = bounded(0.9, 0.0, 1.0)
    eps: float = bounded(1e-6, 0.0)

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        square = self.rho * t.slots["square"] + (1 - self.rho) * (g * g)
        change = sqrt(t.slots["step"] + self.eps) / sqrt(square + self.eps) * g
        steps = self.rho * t.slots["step"] + (1 - self.rho) * (change * change)
        return t.w - t.lr * change, {"square": square, "step": steps}


@dataclass(frozen=True)
class RmsProp(WithMomentum):
    """Gradients divided by a running mean of their size.

    `s = rho * s + (1 - rho) * g^2; w = w - lr * g / (sqrt(s) + eps)`; `centered` subtracts from s the square of a
    running mean of g.  Weight decay is added to the gradient.  Tieleman and Hinton 2012, Graves 2013; PyTorch
    RMSprop with `alpha = rho`, Keras RMSprop up to where eps stands.
    """

    slots: ClassVar[tuple[str, ...]] = ("square", "mean", "momentum")
    lr: float = positive(0.001)
    rho: float = bounded(0.9, 0.0, 1.0)
    eps: float = bounded(1e-7, 0.0)
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "centered")

    def used_slots(self) -> tuple[str, ...]:
        """The squares, the mean when centred, a velocity when there is momentum."""
        return tuple(s for s in super().used_slots() if s != "mean" or self.centered)

    @override
    def update(self, t: Terms) -> New:
        g = t.decayed
        new = {"square": self.rho * t.slots["square"] + (1 - self.rho) * (g * g)}
        size = sqrt(new["square"])
        if self.centered:
            mean = new["mean"] = t.slots["mean"] + (1 - self.rho) * (g - t.slots["mean"])
            # Where gradients do not change, rounding may take more than there is.
            size = sqrt(maximum(new["square"] - mean * mean, 0.0))
        scaled = g / (size + self.eps)
        if "momentum" not in t.slots:
            return t.w - t.lr * scaled, new
        velocity = t.hyper["momentum"] * t.slots["momentum"] + scaled
        return t.w - t.lr * velocity, {**new, "momentum": velocity}
