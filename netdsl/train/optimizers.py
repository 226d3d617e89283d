"""Optimisers, as scalar expressions: the new weight and the new slots from the old ones and the gradient.

Scheduled values and bias corrections enter the compiled step as scalar inputs, so that it never changes.
Weight decay leaves out biases and the scales and offsets of normalisation, as is common practice (Goyal et al.
2017); PyTorch decays whatever it is handed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from netdsl.compat import override
from netdsl.elaborate import shown
from netdsl.scalar import Expr, Lit, sqrt
from netdsl.source import brief
from netdsl.train.make import bounded, check_numbers

Hyper = Mapping[str, Expr]


@dataclass(frozen=True)
class Optimizer:
    """Base.  `slots` names the values that it keeps per weight, `inputs` the scalars that a step is fed."""

    slots: ClassVar[tuple[str, ...]] = ()
    inputs: ClassVar[tuple[str, ...]] = ("lr",)
    lr: float = bounded(0.01, 0.0)
    weight_decay: float = bounded(0.0, 0.0)

    def __post_init__(self) -> None:
        check_numbers(self)

    def used_slots(self) -> tuple[str, ...]:
        """The slots that these settings need."""
        return self.slots

    def with_momentum(self, momentum: float) -> Optimizer:
        """This optimiser, ready for a schedule that moves the momentum, up to `momentum`."""
        return self

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """The inputs of step number `step` (from 0), for a scheduled learning rate and momentum."""
        return {"lr": lr}

    def update(
        self, w: Expr, g: Expr, slots: Sequence[Expr], hyper: Hyper, lr: Expr, decay: float
    ) -> tuple[Expr, tuple[Expr, ...]]:
        """The new weight and slots; `lr` includes the weight's own factor, `decay` is its weight decay."""
        raise NotImplementedError


def _decayed(g: Expr, w: Expr, decay: float) -> Expr:
    return g + decay * w if decay else g


@dataclass(frozen=True)
class _WithMomentum(Optimizer):
    """Base of those that may keep a velocity."""

    inputs: ClassVar[tuple[str, ...]] = ("lr", "momentum")
    momentum: float = bounded(0.0, 0.0, 1.0)

    def with_momentum(self, momentum: float) -> Optimizer:
        """With the slot of the velocity, which no momentum of its own asks for."""
        return self if self.momentum else replace(self, momentum=momentum)

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate and momentum."""
        return {"lr": lr, "momentum": self.momentum if momentum is None else momentum}


@dataclass(frozen=True)
class Sgd(_WithMomentum):
    """Gradient descent: `v = momentum * v + g; w = w - lr * v`, or `g + momentum * v` with Nesterov's look ahead.

    Weight decay is added to the gradient.  Polyak 1964, Nesterov 1983, Sutskever et al. 2013; PyTorch SGD.
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum",)
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.nesterov, bool):
            raise ValueError(f"nesterov must be true or false, not {brief(shown(self.nesterov))}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum, such as 0.9")

    def used_slots(self) -> tuple[str, ...]:
        """None without momentum."""
        return self.slots if self.momentum else ()

    @override
    def update(
        self, w: Expr, g: Expr, slots: Sequence[Expr], hyper: Hyper, lr: Expr, decay: float
    ) -> tuple[Expr, tuple[Expr, ...]]:
        g = _decayed(g, w, decay)
        if not slots:
            return w - lr * g, ()
        velocity = hyper["momentum"] * slots[0] + g
        direction = g + hyper["momentum"] * velocity if self.nesterov else velocity
        return w - lr * direction, (velocity,)


@dataclass(frozen=True)
class RmsProp(_WithMomentum):
    """Gradients divided by a running mean of their size.

    `s = rho * s + (1 - rho) * g^2; w = w - lr * g / (sqrt(s) + eps)`.
    Tieleman and Hinton 2012; PyTorch RMSprop with `alpha = rho`, Keras RMSprop up to where eps stands.
    """

    slots: ClassVar[tuple[str, ...]] = ("square", "momentum")
    lr: float = bounded(0.001, 0.0)
    rho: float = bounded(0.9, 0.0, 1.0)
    eps: float = bounded(1e-7, 0.0)

    def used_slots(self) -> tuple[str, ...]:
        """The squares, and a velocity when there is momentum."""
        return self.slots if self.momentum else self.slots[:1]

    @override
    def update(
        self, w: Expr, g: Expr, slots: Sequence[Expr], hyper: Hyper, lr: Expr, decay: float
    ) -> tuple[Expr, tuple[Expr, ...]]:
        g = _decayed(g, w, decay)
        square = self.rho * slots[0] + (1 - self.rho) * (g * g)
        scaled = g / (sqrt(square) + self.eps)
        if len(slots) == 1:
            return w - lr * scaled, (square,)
        velocity = hyper["momentum"] * slots[1] + scaled
        return w - lr * velocity, (square, velocity)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moments with bias correction.

    `m = beta1 * m + (1 - beta1) * g; s = beta2 * s + (1 - beta2) * g^2;
    w = w - lr * (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + eps)` in step t, from 1.  Weight decay is added
    to the gradient.  Kingma and Ba 2014; PyTorch Adam.
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")
    inputs: ClassVar[tuple[str, ...]] = ("lr", "fresh", "correction1", "correction2")
    lr: float = bounded(0.001, 0.0)
    beta1: float = bounded(0.9, 0.0, 0.999999)
    beta2: float = bounded(0.999, 0.0, 0.999999)
    eps: float = bounded(1e-8, 0.0)

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate, the share of the new gradient in the mean, the factors that undo the bias to zero.

        A scheduled momentum takes the place of beta1, as in PyTorch.
        """
        beta1, t = self.beta1 if momentum is None else momentum, step + 1
        second = (1.0 - self.beta2**t) ** -0.5
        return {
            "lr": lr,
            "fresh": 1.0 - beta1,
            "correction1": 1.0 / (1.0 - beta1**t),
            "correction2": second,
        }

    @override
    def update(
        self, w: Expr, g: Expr, slots: Sequence[Expr], hyper: Hyper, lr: Expr, decay: float
    ) -> tuple[Expr, tuple[Expr, ...]]:
        g = _decayed(g, w, decay)
        step, new = self._step(g, slots, hyper, lr)
        return w - step, new

    def _step(self, g: Expr, slots: Sequence[Expr], hyper: Hyper, lr: Expr) -> tuple[Expr, tuple[Expr, ...]]:
        mean = slots[0] + hyper["fresh"] * (g - slots[0])
        square = self.beta2 * slots[1] + (1 - self.beta2) * (g * g)
        denominator = sqrt(square) * hyper["correction2"] + self.eps
        return (lr * hyper["correction1"]) * mean / denominator, (mean, square)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, `w = w - lr * weight_decay * w` first.  Loshchilov and Hutter 2017."""

    weight_decay: float = bounded(0.01, 0.0)

    @override
    def update(
        self, w: Expr, g: Expr, slots: Sequence[Expr], hyper: Hyper, lr: Expr, decay: float
    ) -> tuple[Expr, tuple[Expr, ...]]:
        step, new = self._step(g, slots, hyper, lr)
        kept = w * (Lit(1.0) - lr * decay) if decay else w
        return kept - step, new


OPTIMIZERS: Mapping[str, type[Optimizer]] = {"sgd": Sgd, "rmsprop": RmsProp, "adam": Adam, "adamw": AdamW}
