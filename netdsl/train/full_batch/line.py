"""A function along a line, as line searches see it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netdsl.arrays import Array
from netdsl.train.full_batch.function import Function, Point

MOST = 25
"""Evaluations in one search, at most; PyTorch's."""


@dataclass(frozen=True)
class Trial:
    """A step along the line, and what was found there; `slope` is the derivative by the step."""

    step: float
    point: Point
    slope: float

    @property
    def value(self) -> float:
        """The function's value; infinite where it, or the slope, is not finite."""
        finite = math.isfinite(self.point.value) and math.isfinite(self.slope)
        return self.point.value if finite else math.inf

    def same(self, other: Trial) -> bool:
        """Whether the two are one point, which weights that were rounded may be."""
        return bool((self.point.x == other.point.x).all())


class Line:
    """`f(x + step * direction)`, from a point where it falls."""

    def __init__(self, function: Function, start: Point, direction: Array) -> None:
        self._function, self._direction = function, direction
        self.start = Trial(0.0, start, float(start.gradient @ direction))
        self.length = float(abs(direction).max())
        self.noise = function.resolution * abs(start.value)

    def at(self, step: float) -> Trial:
        """Evaluate at a step."""
        point = self._function.at(self.start.point.x + step * self._direction)
        return Trial(step, point, float(point.gradient @ self._direction))

    def falls(self, trial: Trial, c1: float) -> bool:
        """Whether the value has fallen enough: by Armijo's condition, 1966.

        Where the difference of two values is below what they resolve, the slopes tell it, by the approximate
        condition of Hager and Zhang 2005: on a parabola the two are the same.
        """
        begin = self.start
        if trial.value <= begin.value + c1 * trial.step * begin.slope:
            return True
        same = abs(trial.value - begin.value) <= self.noise
        return self.noise > 0 and same and trial.slope <= (2 * c1 - 1) * begin.slope
