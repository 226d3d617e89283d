"""Muon: momentum made orthogonal, for weights that are matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.elaborate import shown
from netdsl.ir import Value
from netdsl.ops.choose import chooses
from netdsl.primitives import Contract, PrimitiveBuilder
from netdsl.scalar import maximum, sqrt
from netdsl.source import brief
from netdsl.train.make import bounded, listed, positive
from netdsl.train.optimizers.adam import AdamW
from netdsl.train.optimizers.base import New, Optimizer, Terms, Weight, check_switches

#: of the polynomial whose slope at 0 is the largest that keeps singular values near 1 (Jordan et al. 2024)
A, B, C = 3.4445, -4.7750, 2.0315


@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum whose singular values are all brought near 1, by Newton-Schulz iterations.

    `v = momentum * v + (1 - momentum) * g; w = w - lr * weight_decay * w`, then
    `w = w - lr * sqrt(max(1, outputs / inputs)) * orthogonal(g + momentum * (v - g))`.  A kernel of a convolution is
    the matrix of what comes into each of its outputs.  Biases and normalisation take steps of AdamW, with the rate
    `adam_lr`, which schedules move alike, and betas of 0.9 and 0.95, as in the author's code; it asks that embeddings
    and the last layer do the same: `adam = "dense2"` names layers or patterns that do.
    Jordan et al. 2024; PyTorch Muon, which orthogonalises in bfloat16.
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum", "mean", "square")
    lr: float = positive(0.02)
    momentum: float = bounded(0.95, 0.0, 1.0)
    nesterov: bool = True
    ns_steps: int = 5
    eps: float = bounded(1e-7, 0.0)
    adam_lr: float = positive(3e-4)
    adam: Sequence[str] | str = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "nesterov")
        if (
            isinstance(self.ns_steps, bool)
            or not isinstance(self.ns_steps, int)
            or not 1 <= self.ns_steps < 100
        ):
            raise ValueError(
                f"ns_steps must be a whole number from 1 to 99, not {brief(shown(self.ns_steps))}"
            )
        object.__setattr__(self, "adam", listed(self.adam, "adam"))

    def patterns(self) -> tuple[str, ...]:
        """Those of the weights that AdamW steps."""
        return tuple(self.adam)

    def with_momentum(self, momentum: float) -> Optimizer:
        """Itself: it keeps a velocity anyway."""
        return self

    def slots_of(self, weight: Weight) -> Mapping[str, float]:
        """A velocity, or the moments of AdamW."""
        return dict.fromkeys(self.slots[:1] if self._orthogonal(weight) else self.slots[1:], 0.0)

    def _orthogonal(self, weight: Weight) -> bool:
        chosen = any(chooses(pattern, weight.name) for pattern in self.adam)
        return weight.kernel and len(weight.shape) > 1 and not chosen

    def _aside(self) -> AdamW:
        return AdamW(self.adam_lr, beta1=0.9, beta2=0.95, eps=1e-10)

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate and momentum, and the scalars of AdamW."""
        aside = self._aside().scalars(step, lr, None)
        return {**aside, "momentum": self.momentum if momentum is None else momentum}

    @override
    def update(self, t: Terms) -> New:
        if not self._orthogonal(t.weight):
            step, new = self._aside().step(t, t.g)
            # The rate of the others, as a share of the one that is scheduled.
            share = self.adam_lr / self.lr
            kept = t.w * (1.0 - t.lr * (share * t.weight.decay)) if t.weight.decay else t.w
            return kept - share * step, new
        momentum = t.hyper["momentum"]
        velocity = t.g + momentum * (t.slots["momentum"] - t.g)
        ahead = t.g + momentum * (velocity - t.g) if self.nesterov else velocity
        shape, units = t.weight.shape, t.weight.units % len(t.weight.shape)
        outputs = shape[units]
        scale = math.sqrt(max(1.0, outputs * outputs / math.prod(shape)))
        direction = t.computed(ahead, lambda b, v: self._whitened(b, v, units))
        return t.kept - t.lr * scale * direction, {"momentum": velocity}

    def _whitened(self, b: PrimitiveBuilder, v: Value, units: int) -> Value:
        """A weight as a matrix, made orthogonal, in its own layout again."""
        shape = b.type(v).shape
        order = [*(a for a in range(len(shape)) if a != units), units]
        moved = b.transpose(v, order)
        matrix = b.reshape(moved, (math.prod(shape) // shape[units], shape[units]))
        made = b.reshape(orthogonal(b, matrix, self.ns_steps, self.eps), b.type(moved).shape)
        return b.transpose(made, sorted(range(len(shape)), key=order.__getitem__))


def orthogonal(b: PrimitiveBuilder, x: Value, steps: int, eps: float) -> Value:
    """The matrix `[n, m]` with its singular values brought near 1.

    It starts from `x / |x|`, and each iteration makes `a x + b x s + c x s s` of it, with s = xᵀ x.
    """
    n, m = b.type(x).shape
    if n < m:
        return b.transpose(orthogonal(b, b.transpose(x, (1, 0)), steps, eps), (1, 0))
    total = b.reduce("sum", lambda v: v * v, x, axes=(0, 1))
    x = b.map(lambda v, s: v / maximum(sqrt(s), eps), x, total)
    for _ in range(steps):
        square = b.add1(Contract("backward_weights", size=()), x, x)
        inner = b.map(lambda s, ss: B * s + C * ss, square, b.matmul(square, square))
        x = b.map(lambda v, more: A * v + more, x, b.matmul(x, inner))
    return x
