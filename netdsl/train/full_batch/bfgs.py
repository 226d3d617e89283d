"""BFGS: the inverse Hessian, from all steps."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.arrays import Array, np
from netdsl.source import counted
from netdsl.train.full_batch.first_step import expected
from netdsl.train.full_batch.function import Point
from netdsl.train.full_batch.method import LineSearched, State

LARGEST = 5000
"""Weights, at most: the matrix then has 200 MB."""


@dataclass(frozen=True)
class Bfgs(LineSearched):
    """BFGS, which keeps the inverse Hessian H as a matrix, one number for each pair of weights.

    The direction is `-H g`; after a step s with a change y of the gradient,
    `H = (I - r s y') H (I - r y s') + r s s'` with `r = 1 / y's`.  Broyden, Fletcher, Goldfarb and Shanno 1970;
    Nocedal and Wright 2006, algorithm 6.1; SciPy BFGS.
    """

    def check_size(self, weights: int) -> None:
        """Refuse a matrix that is too large."""
        if weights > LARGEST:
            message = f"bfgs keeps {counted(weights, 'weight')} squared; at most {LARGEST} weights"
            raise ValueError(f"{message}: lbfgs keeps a few times as many numbers as there are weights")

    def empty(self, weights: int) -> State:
        """The identity."""
        return {"inverse": np.eye(weights), "before": np.zeros(2)}

    def direction(self, f: object, start: Point, state: State) -> Array:
        """`-H g`."""
        found: Array = -(state["inverse"] @ start.gradient)
        return found

    def first_step(self, start: Point, slope: float, state: State) -> float:
        """See `expected`."""
        return expected(start.value, state["before"], start.gradient, slope)

    def learnt(self, start: Point, end: Point, direction: Array, state: State) -> State:
        """The update, if the function curves upwards along the step."""
        s, y = end.x - start.x, end.gradient - start.gradient
        curvature = float(s @ y)
        inverse = state["inverse"]
        if curvature > 1e-10 * float(np.sqrt((s @ s) * (y @ y))):
            rho, hy = 1.0 / curvature, inverse @ y
            middle = rho * (rho * float(y @ hy) + 1.0)
            inverse = inverse + middle * np.outer(s, s) - rho * (np.outer(hy, s) + np.outer(s, hy))
        return {"inverse": inverse, "before": np.array([1.0, start.value])}
