"""A training in stretches of epochs, each of which follows its schedule from the beginning to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netdsl.train.schedules import Clock, RateSchedule

if TYPE_CHECKING:
    from netdsl.train.transfer.stages import Stage


@dataclass(frozen=True)
class Stretch:
    """The epochs from `first` (from 0) on that follow one schedule, from the rate `lr` (None: the optimiser's).

    `number`, of `count`, is that of a stage or of a cycle that ends in a snapshot.
    """

    first: int
    epochs: int
    schedule: RateSchedule
    number: int = 1
    count: int = 1
    lr: float | None = None
    stage: Stage | None = None

    def clock(self, whole: Clock) -> Clock:
        """The place within the stretch."""
        return whole.part(self.first * whole.per_epoch, self.epochs * whole.per_epoch)


def in_stages(stages: Sequence[Stage], schedule: RateSchedule) -> tuple[Stretch, ...]:
    """The stretches of stages, in order."""
    first, found = 0, list[Stretch]()
    for number, s in enumerate(stages, 1):
        found.append(Stretch(first, s.epochs, s.schedule or schedule, number, len(stages), s.lr, s))
        first += s.epochs
    return tuple(found)


def in_cycles(epochs: int, count: int, schedule: RateSchedule) -> tuple[Stretch, ...]:
    """Cycles of equal length, each with the whole schedule."""
    each = epochs // count
    return tuple(Stretch(k * each, each, schedule, k + 1, count) for k in range(count))
