"""Backtracking: a step that is too long is made shorter until the value has fallen enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netdsl.train.full_batch.line import MOST, Line, Trial
from netdsl.train.make import bounded, check_numbers


@dataclass(frozen=True)
class Backtracking:
    """Armijo's condition, `f(x + t d) <= f(x) + c1 t f'(x) d`, for t as it is, then shorter and shorter.

    The next t is the minimum of the parabola through what is known, between 0.1 and 0.5 of the last: Nocedal and
    Wright 2006, section 3.5.
    """

    c1: float = bounded(1e-4, 0.0, 0.5)

    def __post_init__(self) -> None:
        check_numbers(self)

    def search(self, line: Line, step: float, c2: float) -> Trial | None:
        """The first step that is short enough; None where there is none.  No slope is asked for: `c2` has no part."""
        for _ in range(MOST):
            trial = line.at(step)
            if line.falls(trial, self.c1):
                return trial
            step = self._shorter(line.start, trial)
        return None

    def _shorter(self, start: Trial, trial: Trial) -> float:
        above = trial.value - start.value - start.slope * trial.step
        if not math.isfinite(above) or above <= 0:
            return 0.5 * trial.step
        lowest = -start.slope * trial.step**2 / (2 * above)
        return min(max(lowest, 0.1 * trial.step), 0.5 * trial.step)
