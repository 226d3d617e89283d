"""The recipe of an update: what becomes of gradients, and of weights after their step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netdsl.ir import Graph, Node
from netdsl.ops.choose import chooses
from netdsl.primitives.leaf import learns
from netdsl.train.optimizers import OPTIMIZERS, Optimizer, Weight

if TYPE_CHECKING:
    from netdsl.train.average import Average
    from netdsl.train.constraints import Constraint
    from netdsl.train.group import Group


@dataclass(frozen=True)
class Recipe:
    """How an update is made of the gradients of `accumulate` batches.

    `clip_value` bounds every element of the gradient, `clip_norm` then the L2 norm of all of them together
    (Pascanu et al. 2013).
    """

    optimizer: Optimizer = field(default_factory=lambda: OPTIMIZERS["sgd"]())
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
