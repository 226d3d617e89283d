"""Rates that stay, or fall."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from netdsl.compat import override
from netdsl.elaborate import shown
from netdsl.source import brief, counted
from netdsl.train.make import FLOAT32_MAX, FLOAT32_MIN, bounded, check_number, positive
from netdsl.train.schedules.base import Clock, Rates, RateSchedule, check_minimum


@dataclass(frozen=True)
class ConstantRate(RateSchedule):
    """The optimiser's own learning rate throughout."""

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        return lr, None


@dataclass(frozen=True)
class StepDecay(RateSchedule):
    """The rate times `factor` after every `every` epochs, or at each of the `milestones`.

    PyTorch StepLR and MultiStepLR.
    """

    every: int | None = None
    factor: float = positive(0.1)
    milestones: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.every is None) == (self.milestones is None):
            raise ValueError("takes either every, a number of epochs, or milestones, a list of epochs")
        if self.every is not None and not _is_epoch(self.every):
            raise ValueError(f"every must be a whole number of epochs from 1, not {brief(shown(self.every))}")
        listed = self.milestones is None or (isinstance(self.milestones, (list, tuple)) and self.milestones)
        if not listed or not all(map(_is_epoch, self.milestones or ())):
            raise ValueError(
                f"milestones is a list of whole epochs from 1, such as [80, 120], not {brief(shown(self.milestones))}"
            )
        if list(self.points) != sorted(set(self.points)):
            raise ValueError("milestones must be in ascending order, each of them once")

    @property
    def points(self) -> Sequence[int]:
        """The milestones, none where `every` says when."""
        return self.milestones or ()

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        passed = clock.epoch // self.every if self.every else bisect.bisect_right(self.points, clock.epoch)
        return self._changed(lr, passed), None

    def _changed(self, lr: float, passed: int) -> float:
        try:
            return lr * self.factor**passed
        except OverflowError:
            return math.inf

    def check_rates(self, lr: float, epochs: int) -> None:
        """A rate that grows must stay a number of float32."""
        changes = (epochs - 1) // self.every if self.every else bisect.bisect_left(self.points, epochs)
        large = bisect.bisect_left(
            range(1, changes + 1), True, key=lambda k: self._changed(lr, k) > FLOAT32_MAX
        )
        if self.factor <= 1 or large == changes:
            return
        epoch = 1 + (self.every * (large + 1) if self.every else self.points[large])
        raise ValueError(
            f"the learning rate of epoch {epoch} is not a number that float32 holds: "
            f"step multiplies {lr:g} by {self.factor:g}, {counted(large + 1, 'time')}"
        )

    def doubt(self, epochs: int) -> str | None:
        """That the rate never changes."""
        first = self.every or self.points[0]
        if first < epochs:
            return None
        return f"step changes nothing: its first change is after {counted(first, 'epoch')}, the training has {epochs}"


def _is_epoch(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@dataclass(frozen=True)
class _Timed(RateSchedule):
    """Base of those whose rate is a function of the epochs that have passed, in units of `every`.

    `staircase` counts whole units only.
    """

    rate: float = field(metadata={"low": FLOAT32_MIN, "high": FLOAT32_MAX})
    every: float = bounded(1.0, 1e-6)
    staircase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.staircase, bool):
            raise ValueError(f"staircase must be true or false, not {brief(shown(self.staircase))}")

    def passed(self, clock: Clock) -> float:
        """The units that have passed."""
        units = clock.time / self.every
        return math.floor(units + 1e-9) if self.staircase else units


@dataclass(frozen=True)
class Exponential(_Timed):
    """The rate times `rate` for every epoch that passes, or for every `every` epochs: `lr * rate^(t / every)`.

    With `staircase = true` it changes at the ends of epochs only, as PyTorch ExponentialLR; else with every update,
    as Keras ExponentialDecay.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rate", self.rate, FLOAT32_MIN, 1)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        return lr * self.rate ** self.passed(clock), None


@dataclass(frozen=True)
class InverseTime(_Timed):
    """The rate divided by a number that grows with time: `lr / (1 + rate * t / every)`, t in epochs.

    Robbins and Monro 1951; Keras InverseTimeDecay.
    """

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        return lr / (1 + self.rate * self.passed(clock)), None


@dataclass(frozen=True)
class Polynomial(RateSchedule):
    """Down to `minimum` at the end of the training: `minimum + (lr - minimum) * (1 - t / T)^power`.

    A power of 1 is a straight line.  PyTorch PolynomialLR, Keras PolynomialDecay.
    """

    power: float = bounded(1.0, 0.0)
    minimum: float = bounded(0.0, 0.0)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        left = max(0.0, 1 - clock.step / max(1, clock.steps))
        return self.minimum + (lr - self.minimum) * left**self.power, None

    def check_rates(self, lr: float, epochs: int) -> None:
        """The minimum must be below the rate."""
        check_minimum(self.minimum, lr)


@dataclass(frozen=True)
class Plateau(RateSchedule):
    """The rate times `factor` whenever a value of the validation set got no better for `patience` epochs.

    `metric` is the name of the value, by default the one that tells the best checkpoint; an epoch is better where it
    beats the best one so far by more than `min_delta`.  The rate falls to `minimum` at most.  Keras
    ReduceLROnPlateau; PyTorch's waits for one epoch more, and by default for a relative change.
    """

    names = ("metric",)
    factor: float = positive(0.1, 0.999999)
    patience: int = 10
    metric: str | None = None
    min_delta: float = bounded(1e-4, 0.0)
    minimum: float = bounded(0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise ValueError(
                f"patience must be a whole number of epochs from 1, not {brief(shown(self.patience))}"
            )
        if self.metric is not None and not isinstance(self.metric, str):
            raise ValueError(
                f"metric is the name of a value, such as accuracy, not {brief(shown(self.metric))}"
            )

    @property
    def watched(self) -> Sequence[str | None]:
        """The metric."""
        return (self.metric,)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        name = self.metric or clock.criterion
        values = [clock.signs[name] * (found or {})[name] for found in clock.validation]
        for _ in range(waits(values, self.patience, self.min_delta).count(self.patience)):
            lr = min(lr, max(lr * self.factor, self.minimum))
        return lr, None


def waits(values: Sequence[float], patience: int, min_delta: float) -> list[int]:
    """After each epoch, how many have passed since the last better one, or since `patience` ran out."""
    best, wait, found = -math.inf, 0, []
    for value in values:
        if value > best + min_delta:
            best, wait = value, 0
        else:
            wait = wait % patience + 1
        found.append(wait)
    return found
