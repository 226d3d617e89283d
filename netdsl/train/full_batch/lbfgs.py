"""L-BFGS: the inverse Hessian from the last few steps."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.arrays import Array, np
from netdsl.train.full_batch.function import Point
from netdsl.train.full_batch.method import LineSearched, State

SMALLEST_CURVATURE = 1e-10
"""Steps along which the gradient changes by less (its product with the step) are not remembered; PyTorch's."""


@dataclass(frozen=True)
class Lbfgs(LineSearched):
    """L-BFGS, which remembers the last `history` steps s and changes of the gradient y.

    The direction is `-H g`, with `H` made of them by the two-loop recursion, from `s'y / y'y` times the identity.
    Liu and Nocedal 1989; Nocedal and Wright 2006, algorithm 7.4; with `strong_wolfe` the iterates of PyTorch's LBFGS.
    """

    history: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("history", self.history)

    def empty(self, weights: int) -> State:
        """No steps yet."""
        size = (self.history, weights)
        return {
            "steps": np.zeros(size),
            "changes": np.zeros(size),
            "known": np.zeros(()),
            "scale": np.ones(()),
        }

    def direction(self, f: object, start: Point, state: State) -> Array:
        """The two-loop recursion; the last row is the newest step."""
        known = int(state["known"])
        steps, changes = state["steps"][self.history - known :], state["changes"][self.history - known :]
        q, shares = -start.gradient, np.zeros(known)
        for k in reversed(range(known)):
            shares[k] = steps[k] @ q / (changes[k] @ steps[k])
            q = q - shares[k] * changes[k]
        r = q * float(state["scale"])
        for k in range(known):
            r = r + (shares[k] - changes[k] @ r / (changes[k] @ steps[k])) * steps[k]
        return r

    def first_step(self, start: Point, slope: float, state: State) -> float:
        """1, or for steepest descent at most `1 / |g|`, the sum of the gradient's elements without their signs."""
        if state["known"]:
            return 1.0
        return min(1.0, 1.0 / float(np.abs(start.gradient).sum()))

    def learnt(self, start: Point, end: Point, direction: Array, state: State) -> State:
        """Remember the step, if the function curves upwards along it."""
        s, y = end.x - start.x, end.gradient - start.gradient
        curvature = float(s @ y)
        if not curvature > SMALLEST_CURVATURE:
            return state
        return {
            "steps": np.concatenate([state["steps"][1:], s[None]]),
            "changes": np.concatenate([state["changes"][1:], y[None]]),
            "known": np.minimum(state["known"] + 1, float(self.history)),
            "scale": np.asarray(curvature / float(y @ y)),
        }
