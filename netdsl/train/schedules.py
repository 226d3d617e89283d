"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state of theirs."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdsl.elaborate import shown
from netdsl.source import brief, counted
from netdsl.train.make import FLOAT32_MAX, bounded, check_numbers, is_number


@dataclass(frozen=True)
class Clock:
    """Where training is: `step` of `steps` in all, `per_epoch` to an epoch."""

    step: int
    steps: int
    per_epoch: int

    @property
    def epoch(self) -> int:
        """The epoch, from 0."""
        return self.step // self.per_epoch


@dataclass(frozen=True)
class RateSchedule:
    """Base: the learning rate, and perhaps the momentum, of each step."""

    @property
    def highest_momentum(self) -> float | None:
        """The largest momentum it sets; None when the schedule leaves it alone."""
        return None

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum (None: the optimiser's own); `lr` is the optimiser's learning rate."""
        raise NotImplementedError

    def check(self, lr: float, epochs: int) -> None:
        """Raise ValueError, naming the setting, where it cannot be followed for so many epochs from this rate."""

    def doubt(self, epochs: int) -> str | None:
        """What is probably not meant, of a schedule followed for so many epochs."""
        return None


@dataclass(frozen=True)
class ConstantRate(RateSchedule):
    """The optimiser's own learning rate throughout."""

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum (None: the optimiser's own)."""
        return lr, None


@dataclass(frozen=True)
class StepDecay(RateSchedule):
    """The rate times `factor` after every `every` epochs, or at each of the `milestones`.

    PyTorch StepLR and MultiStepLR.
    """

    every: int = 0
    factor: float = bounded(0.1, 0.0)
    milestones: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_numbers(self)
        if bool(self.every) == bool(self.milestones) or not isinstance(self.milestones, (list, tuple)):
            raise ValueError("takes either every, a number of epochs, or milestones, a list of epochs")
        entries = [*self.milestones, *([self.every] if self.every else [])]
        if any(isinstance(e, bool) or not isinstance(e, int) or e < 1 for e in entries):
            raise ValueError("counts epochs, whole ones from 1")
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError("takes milestones in ascending order")

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum (None: the optimiser's own)."""
        passed = (
            clock.epoch // self.every if self.every else bisect.bisect_right(self.milestones, clock.epoch)
        )
        return self._changed(lr, passed), None

    def _changed(self, lr: float, passed: int) -> float:
        try:
            return lr * self.factor**passed
        except OverflowError:
            return math.inf if lr else 0.0

    def check(self, lr: float, epochs: int) -> None:
        """A rate that grows must stay a number of float32."""
        changes = (epochs - 1) // self.every if self.every else bisect.bisect_left(self.milestones, epochs)
        large = bisect.bisect_left(
            range(1, changes + 1), True, key=lambda k: self._changed(lr, k) > FLOAT32_MAX
        )
        if self.factor <= 1 or large == changes:
            return
        epoch = 1 + (self.every * (large + 1) if self.every else self.milestones[large])
        raise ValueError(
            f"the learning rate of epoch {epoch} is not a number that float32 holds: "
            f"step multiplies {lr:g} by {self.factor:g}, {counted(large + 1, 'time')}"
        )

    def doubt(self, epochs: int) -> str | None:
        """That the rate never changes."""
        first = self.every or self.milestones[0]
        if first < epochs:
            return None
        return f"step changes nothing: its first change is after {counted(first, 'epoch')}, the training has {epochs}"


@dataclass(frozen=True)
class Cosine(RateSchedule):
    """Half a cosine from the rate down to `minimum`, after `warmup` epochs of linear rise.

    Loshchilov and Hutter 2016; warm-up as in Goyal et al. 2017.
    """

    warmup: float = bounded(0.0, 0.0)
    minimum: float = bounded(0.0, 0.0)

    def __post_init__(self) -> None:
        check_numbers(self)

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum (None: the optimiser's own)."""
        rise = round(self.warmup * clock.per_epoch)
        if clock.step < rise:
            return lr * (clock.step + 1) / rise, None
        part = (clock.step - rise) / max(1, clock.steps - rise)
        return self.minimum + (lr - self.minimum) * 0.5 * (1 + math.cos(math.pi * part)), None

    def check(self, lr: float, epochs: int) -> None:
        """The rise must end, and the minimum be below the rate."""
        if self.warmup > epochs:
            raise ValueError(
                f"warmup = {self.warmup:g} is longer than the training, which has {counted(epochs, 'epoch')}"
            )
        if self.minimum > lr:
            raise ValueError(f"minimum = {self.minimum:g} is above the optimiser's learning rate, {lr:g}")


@dataclass(frozen=True)
class OneCycle(RateSchedule):
    """Up from `peak / divisor` to `peak` in the first `rise` of the steps, then down to `peak / divisor / final`.

    Both ways along a cosine; the momentum (Adam: beta1) goes the other way between the two numbers of `momentum`,
    unless that is false.  The peak is the optimiser's learning rate when not given.
    Smith and Topin 2017; PyTorch OneCycleLR.
    """

    peak: float | None = None
    momentum: Sequence[float] | bool = (0.95, 0.85)
    rise: float = bounded(0.3, 0.0, 1.0)
    divisor: float = bounded(25.0, 1.0)
    final: float = bounded(1e4, 1.0)

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.peak is not None and (not is_number(self.peak) or not 0 <= self.peak <= FLOAT32_MAX):
            raise ValueError(f"peak must be a learning rate, not {brief(shown(self.peak))}")
        pair = self.momentum
        good = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(map(_is_momentum, pair))
        if pair is not False and not good:
            raise ValueError("momentum takes two numbers from 0 to below 1, such as (0.95, 0.85), or false")

    @property
    def highest_momentum(self) -> float | None:
        """The largest momentum it sets; None when the schedule leaves it alone."""
        return None if isinstance(self.momentum, bool) else max(self.momentum)

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum."""
        top = self.rise * clock.steps - 1
        peak = lr if self.peak is None else self.peak
        start, end = peak / self.divisor, peak / self.divisor / self.final
        if clock.step <= top:
            part = clock.step / top if top > 0 else 1.0
            return _anneal(start, peak, part), self._momentum(1.0 - part)
        part = (clock.step - top) / max(1.0, clock.steps - 1 - top)
        return _anneal(peak, end, part), self._momentum(part)

    def _momentum(self, part: float) -> float | None:
        """The momentum `part` of the way from low to high."""
        if isinstance(self.momentum, bool):
            return None
        high, low = self.momentum
        return _anneal(low, high, part)


def _is_momentum(value: object) -> bool:
    return is_number(value) and 0 <= value < 1


def _anneal(a: float, b: float, part: float) -> float:
    return b + (a - b) * 0.5 * (1 + math.cos(math.pi * part))


SCHEDULES: Mapping[str, type[RateSchedule]] = {
    "constant": ConstantRate,
    "step": StepDecay,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}
