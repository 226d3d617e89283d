"""Rates that go down, and up, in cosines and triangles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netdsl.compat import override
from netdsl.elaborate import shown
from netdsl.source import brief, counted
from netdsl.train.make import FLOAT32_MAX, FLOAT32_MIN, bounded, check_number, check_rate, positive
from netdsl.train.schedules.base import Clock, Rates, RateSchedule, check_minimum, half_cosine, momenta


@dataclass(frozen=True)
class Cosine(RateSchedule):
    """Half a cosine from the rate down to `minimum` at the end of the training.

    Loshchilov and Hutter 2016; warm-up as in Goyal et al. 2017.
    """

    minimum: float = bounded(0.0, 0.0)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        return half_cosine(lr, self.minimum, clock.step / max(1, clock.steps)), None

    def check_rates(self, lr: float, epochs: int) -> None:
        """The minimum must be below the rate."""
        check_minimum(self.minimum, lr)


@dataclass(frozen=True)
class CosineRestarts(RateSchedule):
    """Cosines down to `minimum`, one after the other: the first of `first` epochs, the next ones `factor` times more.

    `decay` multiplies the rate that each of them starts from.  SGDR, Loshchilov and Hutter 2016; PyTorch
    CosineAnnealingWarmRestarts, timm's CosineLRScheduler for `decay`.
    """

    first: float = field(metadata={"low": 1e-6, "high": FLOAT32_MAX})
    factor: float = bounded(1.0, 1.0)
    minimum: float = bounded(0.0, 0.0)
    decay: float = positive(1.0, 1.0)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        number, begin, length = self._cycle(clock.time)
        top = lr * self.decay**number
        return half_cosine(max(top, self.minimum), self.minimum, (clock.time - begin) / length), None

    def _cycle(self, time: float) -> tuple[int, float, float]:
        """The number of the cycle at a time in epochs, from 0, when it began and how long it is."""
        if self.factor == 1:
            number = math.floor(time / self.first + 1e-9)
            return number, number * self.first, self.first
        number = math.floor(math.log(1 + time / self.first * (self.factor - 1), self.factor) + 1e-9)
        begin = self.first * (self.factor**number - 1) / (self.factor - 1)
        return number, begin, self.first * self.factor**number

    def check_rates(self, lr: float, epochs: int) -> None:
        """The minimum must be below the rate."""
        check_minimum(self.minimum, lr)

    def doubt(self, epochs: int) -> str | None:
        """That it never restarts."""
        if self.first < epochs:
            return None
        first = f"{self.first:g} epochs" if self.first != 1 else "1 epoch"
        return f"cosine_restarts never restarts: its first cycle has {first}, the training {counted(epochs, 'epoch')}"


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
        super().__post_init__()
        if self.peak is not None and self.lr is not None:
            raise ValueError("peak is what lr would say: give one of them")
        check_rate("peak", self.peak)
        momenta(self.momentum)

    @property
    def highest_momentum(self) -> float | None:
        """The largest momentum it sets; None when the schedule leaves it alone."""
        return None if isinstance(self.momentum, bool) else max(self.momentum)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        top = self.rise * clock.steps - 1
        peak = lr if self.peak is None else self.peak
        start, end = peak / self.divisor, peak / self.divisor / self.final
        if clock.step <= top:
            part = clock.step / top if top > 0 else 1.0
            return half_cosine(start, peak, part), self._momentum(1.0 - part)
        part = (clock.step - top) / max(1.0, clock.steps - 1 - top)
        return half_cosine(peak, end, part), self._momentum(part)

    def _momentum(self, part: float) -> float | None:
        """The momentum `part` of the way from low to high."""
        if isinstance(self.momentum, bool):
            return None
        high, low = self.momentum
        return half_cosine(low, high, part)


@dataclass(frozen=True)
class Cyclical(RateSchedule):
    """Up in a line from `low` to `high` in `up` epochs, down again in `down` (as many by default), and so on.

    `mode`: `triangular` repeats that; `triangular2` halves the height of every next triangle; `exp_range` multiplies
    it by `gamma` with every update.  The momentum (Adam: beta1) goes the other way between the two numbers of
    `momentum`, unless that is false.  Smith 2015; PyTorch CyclicLR, which counts updates.
    """

    own_rates: ClassVar[bool] = True
    choices: ClassVar[dict[str, dict[str, str]]] = {
        "mode": {name: name for name in ("triangular", "triangular2", "exp_range")}
    }
    low: float = field(metadata={"low": 0.0, "high": FLOAT32_MAX})
    high: float = field(metadata={"low": FLOAT32_MIN, "high": FLOAT32_MAX})
    up: float = bounded(4.0, 1e-6)
    down: float | None = None
    mode: str = "triangular"
    gamma: float = positive(1.0, 1.0)
    momentum: Sequence[float] | bool = (0.9, 0.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        if self.down is not None:
            check_number("down", self.down, 1e-6)
        if self.mode not in self.choices["mode"]:
            raise ValueError(
                f"mode must be one of {', '.join(self.choices['mode'])}, not {brief(shown(self.mode))}"
            )
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError("gamma is for mode = exp_range")
        momenta(self.momentum)

    @property
    def highest_momentum(self) -> float | None:
        """The largest momentum it sets; None when the schedule leaves it alone."""
        return None if isinstance(self.momentum, bool) else max(self.momentum)

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        down = self.up if self.down is None else self.down
        whole = self.up + down
        cycle = math.floor(clock.time / whole + 1e-9)
        place = max(0.0, clock.time - cycle * whole)
        height = place / self.up if place <= self.up else max(0.0, (whole - place) / down)
        height *= {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**clock.step}[
            self.mode
        ]
        pair = momenta(self.momentum)
        momentum = None if pair is None else pair[0] - (pair[0] - pair[1]) * height
        return self.low + (self.high - self.low) * height, momentum
