"""What an optimiser is: the new weight and the new slots, as expressions over the old ones and the gradient.

Scheduled values and bias corrections enter the compiled step as scalar inputs, so that it never changes.
Weight decay leaves out biases and the scales and offsets of normalisation, as is common practice (Goyal et al.
2017); PyTorch decays whatever it is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from netdsl.elaborate import shown
from netdsl.ir import Value
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Expr, sqrt
from netdsl.source import brief
from netdsl.train.make import bounded, check_numbers, positive

New = tuple[Expr, Mapping[str, Expr]]
"""The new weight and the new slots by name."""


@dataclass(frozen=True)
class Weight:
    """A weight, for those who treat some of them in ways of their own.

    `kernel` says whether it is one that weight decay is meant for: no bias, no scale or offset of a normalisation.
    `lr` is its factor of the learning rate, `decay` its weight decay; `units` is the axis of its outputs: along all
    others lies what comes into one.
    """

    name: str
    shape: tuple[int, ...]
    kernel: bool = True
    lr: float = 1.0
    decay: float = 0.0
    units: int = -1

    @property
    def incoming(self) -> tuple[int, ...]:
        """The axes over which one unit sums its inputs."""
        return tuple(a for a in range(len(self.shape)) if a != self.units % len(self.shape))


@dataclass
class Terms:
    """What the step of one weight is made of, as expressions over `operands`.

    `w` is the weight, `g` its gradient, `slots` what is kept of it by name, `hyper` the scalars of the step by name,
    `lr` the learning rate with the weight's own factor.  What no expression of single elements says, such as a norm,
    is computed before, by primitives that `b` adds: `norm`, `computed`.
    """

    b: PrimitiveBuilder
    weight: Weight
    operands: list[Value]
    w: Expr
    g: Expr
    slots: Mapping[str, Expr]
    hyper: Mapping[str, Expr]
    extra: list[Expr] = field(default_factory=list)

    @property
    def lr(self) -> Expr:
        """The learning rate of this weight."""
        return self.hyper["lr"] * self.weight.lr if self.weight.lr != 1 else self.hyper["lr"]

    @property
    def decayed(self) -> Expr:
        """The gradient with that of the weight decay."""
        return self.g + self.weight.decay * self.w if self.weight.decay else self.g

    @property
    def kept(self) -> Expr:
        """The weight after decoupled weight decay, `w - lr * decay * w`."""
        return self.w * (1.0 - self.lr * self.weight.decay) if self.weight.decay else self.w

    def norm(self, x: Expr, axes: Sequence[int] | None = None) -> Expr:
        """The L2 norm of an expression over the weight, or over some of its axes."""
        shape = self.weight.shape
        over = tuple(range(len(shape))) if axes is None else tuple(axes)
        total = self.b.reduce_expr(
            "sum", x * x, *self.operands, axes=over, keepdims=axes is not None, shape=shape
        )
        return sqrt(self._operand(total))

    def computed(self, x: Expr, make: Callable[[PrimitiveBuilder, Value], Value]) -> Expr:
        """What primitives make of the values of an expression, of the weight's shape again."""
        value = self.b.map_expr(x, *self.operands, shape=self.weight.shape)
        return self._operand(self.b.reshape(make(self.b, value), self.weight.shape))

    def _operand(self, value: Value) -> Expr:
        self.operands.append(value)
        self.extra.append(Arg(len(self.operands) - 1))
        return self.extra[-1]


@dataclass(frozen=True)
class Optimizer:
    """Base.  `slots` names the values that it keeps per weight."""

    slots: ClassVar[tuple[str, ...]] = ()
    unnamed: ClassVar[int] = 1
    lr: float = positive(0.01)
    weight_decay: float = bounded(0.0, 0.0)

    def __post_init__(self) -> None:
        check_numbers(self)

    def used_slots(self) -> tuple[str, ...]:
        """The slots that these settings need."""
        return self.slots

    def slots_of(self, weight: Weight) -> Mapping[str, float]:
        """The slots of one weight, and what each starts from."""
        return dict.fromkeys(self.used_slots(), 0.0)

    def patterns(self) -> tuple[str, ...]:
        """The names and patterns of weights in its settings."""
        return ()

    def with_momentum(self, momentum: float) -> Optimizer:
        """This optimiser, ready for a schedule that moves the momentum, up to `momentum`.

        Raises ValueError where it has none.
        """
        raise ValueError("has no momentum that a schedule could move: momentum = false leaves it alone")

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """The inputs of step number `step` (from 0), for a scheduled learning rate and momentum."""
        return {"lr": lr}

    def update(self, t: Terms) -> New:
        """The new weight and slots."""
        raise NotImplementedError


@dataclass(frozen=True)
class WithMomentum(Optimizer):
    """Base of those that may keep a velocity."""

    momentum: float = bounded(0.0, 0.0, 1.0)

    def with_momentum(self, momentum: float) -> Optimizer:
        """With the slot of the velocity, which no momentum of its own asks for."""
        return self if self.momentum else replace(self, momentum=momentum)

    def used_slots(self) -> tuple[str, ...]:
        """No velocity without momentum."""
        return self.slots if self.momentum else tuple(s for s in self.slots if s != "momentum")

    def scalars(self, step: int, lr: float, momentum: float | None) -> dict[str, float]:
        """Learning rate and momentum."""
        return {"lr": lr, "momentum": self.momentum if momentum is None else momentum}


def check_switches(owner: Optimizer, *names: str) -> None:
    """Raise ValueError for a setting that is neither true nor false."""
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, not {brief(shown(value))}")
