"""`groups = [group("head", lr = 10)]`: weights with a learning rate or a decay of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.train.make import check_number, listed


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
            if value is not None:
                check_number(name, value, 0)
        if self.lr is None and self.weight_decay is None:
            raise ValueError("says nothing of its weights: give lr, a factor of the rate, or weight_decay")
