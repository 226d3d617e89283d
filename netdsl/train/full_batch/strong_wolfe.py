"""The strong Wolfe conditions, by bracketing and cubic interpolation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from netdsl.elaborate import shown
from netdsl.source import brief
from netdsl.train.full_batch.line import MOST, Line, Trial
from netdsl.train.make import bounded, check_numbers, is_number

SMALLEST = 1e-9
"""A bracket in which no weight moves by more than this is not divided further; PyTorch's."""


@dataclass(frozen=True)
class StrongWolfe:
    """Armijo's condition with `c1`, and a slope that is flat enough: `|f'(x + t d) d| <= c2 |f'(x) d|`.

    Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the safeguards of minFunc (Schmidt 2005), which are those of
    PyTorch's LBFGS: the steps are the same.  `c2` is by default 0.9, and 0.4 for conjugate gradients.
    """

    c1: float = bounded(1e-4, 0.0, 0.5)
    c2: float | None = None

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.c2 is None:
            return
        if not is_number(self.c2) or not self.c1 < self.c2 < 1:
            raise ValueError(
                f"c2 must be a number between c1, which is {self.c1}, and 1, not {brief(shown(self.c2))}"
            )

    def search(self, line: Line, step: float, c2: float) -> Trial | None:
        """A step that fulfils both conditions, or the lowest of those tried; None where none is lower.

        `c2` holds where none is set.
        """
        return _Search(line, self.c1, c2 if self.c2 is None else self.c2).run(step)


@dataclass
class _Search:
    """One search; `tried` counts the steps after the first one."""

    line: Line
    c1: float
    c2: float
    tried: int = field(default=0, init=False)

    def run(self, step: float) -> Trial | None:
        bracket = self._bracket(self.line.at(step))
        found = bracket if isinstance(bracket, Trial) else self._zoom(*bracket)
        return found if found.step and self.line.falls(found, 0.0) else None

    def _flat(self, trial: Trial) -> bool:
        return abs(trial.slope) <= -self.c2 * self.line.start.slope

    def _next(self, step: float) -> Trial:
        self.tried += 1
        return self.line.at(step)

    def _bracket(self, trial: Trial) -> Trial | tuple[Trial, Trial]:
        """A step that will do, or two between which there is one."""
        before = self.line.start
        while self.tried < MOST:
            rises = self.tried > 1 and trial.value >= before.value + self.line.noise
            if not self.line.falls(trial, self.c1) or rises:
                return before, trial
            if self._flat(trial):
                return trial
            if trial.slope >= 0:
                return before, trial
            low, high = trial.step + 0.01 * (trial.step - before.step), 10 * trial.step
            # Steps may be too short to move any weight by the last digit that it has.
            step = high if before.same(trial) else _lowest(before, trial, low, high, self.line.noise)
            before, trial = trial, self._next(step)
        return self.line.start, trial

    def _zoom(self, a: Trial, b: Trial) -> Trial:
        """Divide the bracket until a step will do; else the lowest of all."""
        low, high = (a, b) if a.value <= b.value else (b, a)
        stuck = False
        while self.tried < MOST and abs(high.step - low.step) * self.line.length >= SMALLEST:
            step, stuck = self._inside(low, high, stuck)
            trial = self._next(step)
            if trial.same(low) or trial.same(high):
                return low  # rounded weights have no place between them
            if not self.line.falls(trial, self.c1) or trial.value >= low.value + self.line.noise:
                low, high = (low, trial) if low.value <= trial.value else (trial, low)
                continue
            if self._flat(trial):
                return trial
            if trial.slope * (high.step - low.step) >= 0:
                high = low
            low = trial
        return low

    def _inside(self, low: Trial, high: Trial, stuck: bool) -> tuple[float, bool]:
        """The next step to try; one that hugs a border twice in a row is moved away from it."""
        first, last = sorted((low, high), key=lambda trial: trial.step)
        step = _lowest(first, last, first.step, last.step, self.line.noise)
        margin = 0.1 * (last.step - first.step)
        if min(last.step - step, step - first.step) >= margin:
            return step, False
        if not stuck and first.step < step < last.step:
            return step, True
        nearer = last.step - step < step - first.step
        return (last.step - margin if nearer else first.step + margin), False


def _lowest(a: Trial, b: Trial, low: float, high: float, noise: float) -> float:
    """The minimum of the cubic through two values and slopes, within bounds; their middle where there is none.

    Of values that differ by no more than their noise, the parabola of the slopes has to do.
    """
    middle = (low + high) / 2
    if not math.isfinite(a.value) or not math.isfinite(b.value):
        return middle
    if a.step == b.step:
        return middle
    if a.step > b.step:
        a, b = b, a
    if abs(a.value - b.value) < noise and a.slope != b.slope:
        return min(max(a.step - a.slope * (b.step - a.step) / (b.slope - a.slope), low), high)
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = math.sqrt(square)
    below = b.slope - a.slope + 2 * d2
    if not below:
        return middle
    lowest = b.step - (b.step - a.step) * ((b.slope + d2 - d1) / below)
    return min(max(lowest, low), high)
