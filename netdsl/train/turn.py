"""Where a batch stands in a training: in which update, at which rates."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from netdsl.data import Batches


@dataclass(frozen=True)
class Turn:
    """A batch's turn: batch number `step` and update number `update`, both from 0, at the rates of the update.

    `momentum` None is the optimiser's own; the weights `frozen` keep their bits, and so do their slots.  Of the
    batches of one update the first forgets what was gathered before, the `last` changes the weights; `share` is the
    batch's part of the samples.  `averaged` is the share of the new weights in their average.
    """

    step: int
    update: int
    lr: float
    momentum: float | None = None
    frozen: Set[str] = frozenset()
    first: bool = True
    last: bool = True
    share: float = 1.0
    averaged: float = 1.0


@dataclass(frozen=True)
class Grouping:
    """The batches of an epoch in groups of `size`, one update each; the last group has those that are left."""

    batches: int
    size: int

    @property
    def updates(self) -> int:
        """Updates in an epoch."""
        return -(-self.batches // self.size)

    def place(self, number: int) -> tuple[bool, bool]:
        """Whether batch `number` of an epoch is the first, and the last, of its group."""
        return number % self.size == 0, (number + 1) % self.size == 0 or number + 1 == self.batches

    def share(self, number: int, batches: Batches) -> float:
        """The part of batch `number` in the samples of its group."""
        first = number - number % self.size
        count = min(self.size, self.batches - first)
        last = self.batches - 1
        total = count * batches.batch - (batches.batch - batches.last_size) * (first + count > last)
        return (batches.last_size if number == last else batches.batch) / total
