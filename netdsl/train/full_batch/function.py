"""What is made smaller: a function of one vector, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from netdsl.arrays import Array, np


@dataclass(frozen=True, eq=False)
class Point:
    """A vector `x` [n], the function's value there and its gradient [n], in float64.

    `about` is whatever else the function found out there.
    """

    x: Array
    value: float
    gradient: Array
    about: Any = field(default=None, repr=False)

    @property
    def steepness(self) -> float:
        """The largest element of the gradient, without its sign; infinite where one is not finite."""
        largest = float(np.max(np.abs(self.gradient), initial=0.0))
        return largest if np.isfinite(largest) else float("inf")


class Function:
    """Base: counts how often it was evaluated, and how many products with second derivatives were made.

    `resolution` is the relative error of its values: differences below it say nothing.
    """

    resolution: float = 0.0

    def __init__(self) -> None:
        self.evaluations = self.products = 0

    def at(self, x: Array) -> Point:
        """Value and gradient at a vector [n], which may be rounded: `Point.x` is where they belong."""
        self.evaluations += 1
        return self.evaluated(x)

    def hessian_product(self, point: Point, vector: Array) -> Array:
        """The Hessian at a point times a vector, [n]."""
        self.products += 1
        return self.hessian_times(point, vector)

    def gauss_newton_product(self, point: Point, vector: Array) -> Array:
        """`2 J'J v` [n] for the Jacobian J of the residuals, the sum of whose squares is the value."""
        self.products += 1
        return self.gauss_newton_times(point, vector)

    def residuals(self, point: Point) -> tuple[Array, Array]:
        """The residuals [m] at a point, whose squares add up to the value, and their Jacobian [m, n]."""
        raise NotImplementedError

    def evaluated(self, x: Array) -> Point:
        """As `at`, not counted."""
        raise NotImplementedError

    def hessian_times(self, point: Point, vector: Array) -> Array:
        """As `hessian_product`, not counted."""
        raise NotImplementedError

    def gauss_newton_times(self, point: Point, vector: Array) -> Array:
        """As `gauss_newton_product`, not counted."""
        raise NotImplementedError
