"""The recipe of an update: what becomes of gradients, and of weights after their step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from netdsl.elaborate import shown
from netdsl.ir import Graph, Node
from netdsl.ops.choose import chooses
from netdsl.primitives.leaf import learns
from netdsl.scalar import Expr, maximum, minimum
from netdsl.source import brief
from netdsl.train.average import Average
from netdsl.train.make import FLOAT32_MAX, check_numbers, is_number, listed, positive
from netdsl.train.optimizers import Optimizer, Sgd, Terms, Weight

#: what keeps a division by the norm of a unit from one by 0; Keras' epsilon
TINY = 1e-7


@dataclass(frozen=True)
class Group:
    """Weights with a learning rate or a weight decay of their own: `group("stage1", lr = 0.1, weight_decay = 0)`.

    `weights` names layers, weights or patterns, one or a list.  `lr` multiplies the learning rate, as the tag `@lr`
    does; `weight_decay` takes the place of the optimiser's, also for biases.  Of groups that share a weight the last
    one that says so holds.  PyTorch's parameter groups.
    """

    weights: Sequence[str] | str
    lr: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", listed(self.weights, "weights"))
        for name in ("lr", "weight_decay"):
            value = getattr(self, name)
            if value is not None and (not is_number(value) or not 0 <= value <= FLOAT32_MAX):
                raise ValueError(f"{name} must be a number from 0 up, not {brief(shown(value))}")
        if self.lr is None and self.weight_decay is None:
            raise ValueError("says nothing of its weights: give lr, a factor of the rate, or weight_decay")


@dataclass(frozen=True)
class Constraint:
    """Base of what holds for weights after every step: those named, or all kernels (no biases, no normalisation)."""

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

    def __post_init__(self) -> None:
        check_numbers(self)
        object.__setattr__(self, "weights", listed(self.weights, "weights"))

    def apply(self, t: Terms, new: Expr) -> Expr:
        """Scale what comes into each unit."""
        norm = t.norm(new, t.weight.incoming)
        return new * (minimum(norm, self.limit) / (norm + TINY))


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """The weights that come into a unit have an L2 norm of 1: `w / (|w| + 1e-7)`.  Keras UnitNorm."""

    weights: Sequence[str] | str = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", listed(self.weights, "weights"))

    def apply(self, t: Terms, new: Expr) -> Expr:
        """Scale what comes into each unit."""
        return new / (t.norm(new, t.weight.incoming) + TINY)


@dataclass(frozen=True)
class NonNeg(Constraint):
    """No weight is below 0: those that would be are 0.  Keras NonNeg."""

    weights: Sequence[str] | str = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", listed(self.weights, "weights"))

    def apply(self, t: Terms, new: Expr) -> Expr:
        """Cut at 0."""
        return maximum(new, 0.0)


CONSTRAINTS = {"max_norm": MaxNorm, "unit_norm": UnitNorm, "non_neg": NonNeg}
GROUPS = {"group": Group}


@dataclass(frozen=True)
class Recipe:
    """How an update is made of the gradients of `accumulate` batches.

    `clip_value` bounds every element of the gradient, `clip_norm` then the L2 norm of all of them together
    (Pascanu et al. 2013).
    """

    optimizer: Optimizer = field(default_factory=Sgd)
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    groups: tuple[Group, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    average: Average | None = None

    def patterns(self) -> Iterator[tuple[str, str]]:
        """The names and patterns of weights in it, with the setting that has each."""
        yield from (("optimizer", p) for p in self.optimizer.patterns())
        yield from (("groups", p) for group in self.groups for p in group.weights)
        yield from (("constraints", p) for c in self.constraints for p in c.patterns())

    def weight(self, graph: Graph, node: Node) -> Weight:
        """What is told of a weight of a graph of ops."""
        leaf = node.op
        assert learns(leaf)
        lr, decay = 1.0, self.optimizer.weight_decay if leaf.decay else 0.0
        for group in self.groups:
            if any(chooses(p, node.id) for p in group.weights):
                lr = lr if group.lr is None else group.lr
                decay = decay if group.weight_decay is None else group.weight_decay
        backwards = any(user.op.name == "conv_transpose" for user, _ in graph.users(node.outputs[0]))
        units = -2 if backwards and len(leaf.type.shape) > 1 else -1
        return Weight(node.id, leaf.type.shape, leaf.decay, leaf.lr * lr, decay, units)
