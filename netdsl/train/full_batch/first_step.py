"""The first step of a line search, where the direction does not know its own length."""

from __future__ import annotations

import math

from netdsl.arrays import Array


def expected(value: float, before: Array, gradient: Array, slope: float) -> float:
    """The step that would lower the value by as much as the last iteration did, and at most 1.

    `before` [2] is 1 and the value before that iteration, or zeros in the first one, which expects half the norm of
    the gradient.  Nocedal and Wright 2006, (3.60), as SciPy has it.
    """
    fall = float(before[1]) - value if before[0] else 0.5 * math.sqrt(float(gradient @ gradient))
    step = -2.02 * fall / slope
    return min(1.0, step) if step > 0 else 1.0
