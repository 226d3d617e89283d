"""`constraints = [max_norm(3)]`: what holds for weights after every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.ops.choose import chooses
from netdsl.scalar import Expr, maximum, minimum
from netdsl.train.make import check_numbers, listed, positive
from netdsl.train.optimizers import Terms, Weight

#: what keeps a division by the norm of a unit from one by 0; Keras' epsilon
TINY = 1e-7


@dataclass(frozen=True)
class Constraint:
    """Base of what holds for weights after every step: those named, or all kernels (no biases, no normalisation)."""

    def __post_init__(self) -> None:
        check_numbers(self)
        object.__setattr__(self, "weights", listed(getattr(self, "weights", ()), "weights"))

    def chosen(self, weight: Weight) -> bool:
        """Whether it holds for a weight."""
        names = self.patterns()
        return any(chooses(p, weight.name) for p in names) if names else weight.kernel

    def patterns(self) -> tuple[str, ...]:
        """The names and patterns of the weights it holds for; none: all kernels."""
        return tuple(getattr(self, "weights", ()))

    def apply(self, t: Terms, new: Expr) -> Expr:
        """The weight that is kept in place of a new one."""
        raise NotImplementedError


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """The weights that come into a unit have an L2 norm of at most `limit`; longer ones are made that long.

    `w * min(|w|, limit) / (|w| + 1e-7)`, as Keras MaxNorm over the incoming axes.  Srebro et al. 2004, Srivastava
    et al. 2014, who use it with dropout.
    """

    limit: float = positive(3.0)
    weights: Sequence[str] | str = ()

    def apply(self, t: Terms, new: Expr) -> Expr:
        """Scale what comes into each unit."""
        norm = t.norm(new, t.weight.incoming)
        return new * (minimum(norm, self.limit) / (norm + TINY))


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """The weights that come into a unit have an L2 norm of 1: `w / (|w| + 1e-7)`.  Keras UnitNorm."""

    weights: Sequence[str] | str = ()

    def apply(self, t: Terms, new: Expr) -> Expr:
        """Scale what comes into each unit."""
        return new / (t.norm(new, t.weight.incoming) + TINY)


@dataclass(frozen=True)
class NonNeg(Constraint):
    """No weight is below 0: those that would be are 0.  Keras NonNeg."""

    weights: Sequence[str] | str = ()

    def apply(self, t: Terms, new: Expr) -> Expr:
        """Cut at 0."""
        return maximum(new, 0.0)
