"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state of theirs."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdsl.train.make import bounded, check_numbers


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
class Constant:
    """The optimiser's own learning rate throughout."""

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum (None: the optimiser's own)."""
        return lr, None


@dataclass(frozen=True)
class Step:
    """The rate times `factor` after every `every` epochs, or at each of the `milestones`.

    PyTorch StepLR and MultiStepLR.
    """

    every: int = 0
    factor: float = bounded(0.1, 0.0)
    milestones: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_numbers(self)
        if bool(self.every) == bool(self.milestones):
            raise ValueError("takes either every or milestones")
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
        return lr * self.factor**passed, None


@dataclass(frozen=True)
class Cosine:
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


@dataclass(frozen=True)
class OneCycle:
    """Up from `peak / divisor` to `peak` in the first `rise` of the steps, then down to `peak / divisor / final`.

    Both ways along a cosine; the momentum goes the other way between the two numbers of `momentum`.
    Smith and Topin 2017; PyTorch OneCycleLR.
    """

    peak: float = bounded(0.1, 0.0)
    momentum: Sequence[float] = (0.95, 0.85)
    rise: float = bounded(0.3, 0.0, 1.0)
    divisor: float = bounded(25.0, 1.0)
    final: float = bounded(1e4, 1.0)

    def __post_init__(self) -> None:
        check_numbers(self)
        good = len(self.momentum) == 2 and all(
            isinstance(m, (int, float)) and 0 <= m < 1 for m in self.momentum
        )
        if not good:
            raise ValueError("momentum takes two numbers from 0 to below 1, such as (0.95, 0.85)")

    def at(self, lr: float, clock: Clock) -> tuple[float, float | None]:
        """Learning rate and momentum."""
        top = self.rise * clock.steps - 1
        start, end = self.peak / self.divisor, self.peak / self.divisor / self.final
        high, low = self.momentum
        if clock.step <= top:
            part = clock.step / top if top > 0 else 1.0
            return _anneal(start, self.peak, part), _anneal(high, low, part)
        part = (clock.step - top) / max(1.0, clock.steps - 1 - top)
        return _anneal(self.peak, end, part), _anneal(low, high, part)


def _anneal(a: float, b: float, part: float) -> float:
    return b + (a - b) * 0.5 * (1 + math.cos(math.pi * part))


Schedule = Constant | Step | Cosine | OneCycle
SCHEDULES: Mapping[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}
