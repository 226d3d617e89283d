"""Mean and variance for the normalisation ops."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdsl.ir import Value
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, stationary, stop_gradient


def moments(b: PrimitiveBuilder, x: Value, axes: Sequence[int]) -> tuple[Value, Value]:
    """The mean over axes and the variance about it (divided by the count), with 1 in the place of each axis.

    The average is of the distances from the first element.  So the mean of equal numbers is exact and their variance
    is 0; a rounding error would be large against a small `eps`.
    """
    shape = b.type(x).shape
    share = 1.0 / math.prod(shape[a] for a in axes)
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    first = b.slice(x, (0,) * len(shape), kept)

    # d mean / d first is exactly 0, and so is d var / d mean, because deviations from the mean sum to 0.
    def distance(v: Expr, c: Expr) -> Expr:
        return (v - stop_gradient(c)) * share

    def square(v: Expr, m: Expr) -> Expr:
        return (v - stationary(m)) * (v - stationary(m)) * share

    distances = b.reduce("sum", distance, x, first, axes=axes, keepdims=True)
    mean = b.map(lambda d, c: d + stop_gradient(c), distances, first)
    return mean, b.reduce("sum", square, x, mean, axes=axes, keepdims=True)
