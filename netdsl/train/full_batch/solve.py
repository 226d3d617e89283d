"""Linear systems by conjugate gradients, which ask for nothing but products with the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable

from netdsl.arrays import Array, np


def conjugate_gradients(times: Callable[[Array], Array], b: Array, tolerance: float, most: int) -> Array:
    """`x` with `|A x - b| <= tolerance`, from 0, after `most` products at most.

    Where a direction of negative curvature is met, what is known up to there is given, or that direction, if it is
    the first.  Hestenes and Stiefel 1952; Nocedal and Wright 2006, algorithm 7.1.
    """
    x, residual = np.zeros_like(b), b
    direction, square = b, float(b @ b)
    for k in range(most):
        if square <= tolerance**2:
            break
        product = times(direction)
        curvature = float(direction @ product)
        if not curvature > 3e-16 * float(direction @ direction):
            return direction if k == 0 else x
        step = square / curvature
        x, residual = x + step * direction, residual - step * product
        before, square = square, float(residual @ residual)
        direction = residual + square / before * direction
    return x


def forced(gradient: Array) -> float:
    """How exactly a step of Newton's method is worth being computed, so that the whole converges faster than a line.

    Dembo, Eisenstat and Steihaug 1982; Nocedal and Wright 2006, (7.3).
    """
    norm = math.sqrt(gradient @ gradient)
    return min(0.5, math.sqrt(norm)) * norm


def columns(times: Callable[[Array], Array], size: int) -> Array:
    """The matrix [m, size] whose products with unit vectors these are."""
    return np.stack([times(unit) for unit in np.eye(size)], axis=1)
