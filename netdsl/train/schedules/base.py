"""What a schedule is: the learning rate, and perhaps the momentum, as a function of how far training has come.

A schedule is a pure function of the update and of the epochs that are done, so that a resumed run needs no state of
its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from netdsl.elaborate import shown
from netdsl.source import brief, counted
from netdsl.train.make import bounded, check_numbers, check_rate, is_number

Rates = tuple[float, float | None]
"""Learning rate and momentum; None: the optimiser's own."""


@dataclass(frozen=True)
class Clock:
    """Where training is: `step` of `steps` updates in all, `per_epoch` to an epoch.

    `validation` has the values of the epochs that are done, `signs` 1 for those that are to grow and -1 for those
    that are to fall; `criterion` names the one that tells the best epoch.
    """

    step: int
    steps: int
    per_epoch: int
    validation: Sequence[Mapping[str, float] | None] = ()
    signs: Mapping[str, int] = field(default_factory=dict)
    criterion: str = "loss"

    @property
    def epoch(self) -> int:
        """The epoch, from 0."""
        return self.step // self.per_epoch

    @property
    def time(self) -> float:
        """The epochs that have passed."""
        return self.step / self.per_epoch

    def part(self, first: int, steps: int) -> Clock:
        """The place within `steps` updates from `first` on, of which the epochs that have begun since count."""
        since = -(-first // self.per_epoch)
        return Clock(
            self.step - first, steps, self.per_epoch, self.validation[since:], self.signs, self.criterion
        )


@dataclass(frozen=True)
class RateSchedule:
    """Base.  Every schedule may rise in a line for `warmup` epochs before it begins, and start from a rate `lr` of
    its own; `epochs` says how long it lasts in a list of schedules.
    """

    own_rates: ClassVar[bool] = False
    _: KW_ONLY
    warmup: float = bounded(0.0, 0.0)
    lr: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        check_numbers(self)
        check_rate("lr", self.lr)
        if self.lr is not None and self.own_rates:
            raise ValueError("lr is what its own settings say")
        if self.epochs is not None and (
            isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1
        ):
            raise ValueError(f"epochs must be a whole number from 1, not {brief(shown(self.epochs))}")

    @property
    def highest_momentum(self) -> float | None:
        """The largest momentum it sets; None when the schedule leaves it alone."""
        return None

    @property
    def watched(self) -> Sequence[str | None]:
        """The values of the validation set that it watches; None is the one that tells the best epoch."""
        return ()

    def at(self, lr: float, clock: Clock) -> Rates:
        """Learning rate and momentum of an update; `lr` is the optimiser's learning rate."""
        lr = lr if self.lr is None else self.lr
        rise = min(round(self.warmup * clock.per_epoch), clock.steps)
        if clock.step >= rise:
            return self.rates(lr, clock.part(rise, clock.steps - rise))
        rate, momentum = self.rates(lr, Clock(0, max(1, clock.steps - rise), clock.per_epoch))
        return rate * (clock.step + 1) / rise, momentum

    def rates(self, lr: float, clock: Clock) -> Rates:
        """Those after the warm-up, whose end is step 0 of the clock."""
        raise NotImplementedError

    def check(self, lr: float, epochs: int) -> None:
        """Raise ValueError, naming the setting, where it cannot be followed for so many epochs from this rate."""
        if self.epochs is not None:
            raise ValueError(
                "epochs is for a list of schedules: the setting epochs says how long the training is"
            )
        self.check_piece(lr, epochs)

    def check_piece(self, lr: float, epochs: int) -> None:
        """The same, for a schedule of a list."""
        if self.warmup > epochs:
            raise ValueError(
                f"warmup = {self.warmup:g} is longer than the training, which has {counted(epochs, 'epoch')}"
            )
        self.check_rates(lr if self.lr is None else self.lr, max(1, math.ceil(epochs - self.warmup)))

    def check_rates(self, lr: float, epochs: int) -> None:
        """Raise ValueError where it cannot be followed for so many epochs after the warm-up."""

    def doubt(self, epochs: int) -> str | None:
        """What is probably not meant, of a schedule followed for so many epochs."""
        return None


def check_minimum(minimum: float, lr: float) -> None:
    """Raise ValueError where a rate cannot fall to a minimum, for it starts below."""
    if minimum > lr:
        raise ValueError(f"minimum = {minimum:g} is above the optimiser's learning rate, {lr:g}")


def half_cosine(a: float, b: float, part: float) -> float:
    """From a to b along half a cosine, of which `part` is done."""
    return b + (a - b) * 0.5 * (1 + math.cos(math.pi * part))


def momenta(value: Sequence[float] | bool) -> tuple[float, float] | None:
    """The highest and the lowest momentum of a cycle, None for false; raises ValueError for something else."""
    good = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_momentum, value))
    if value is not False and not good:
        raise ValueError("momentum takes two numbers from 0 to below 1, such as (0.95, 0.85), or false")
    return None if isinstance(value, bool) else (value[0], value[1])


def _is_momentum(value: object) -> bool:
    return is_number(value) and 0 <= value < 1
