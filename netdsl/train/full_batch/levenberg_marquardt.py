"""The method of Levenberg and Marquardt, as Moré made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.source import counted
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.method import Ended, FullBatch, Iteration, State
from netdsl.train.make import bounded

LARGEST = 2000
"""Weights, at most: the Jacobian has a column for each."""
CLOSE = 0.1
"""The length of a step may differ from the radius by this share of it."""
ACCEPTED = 1e-4
"""A step is taken where the loss falls by this share of what was predicted."""


@dataclass(frozen=True)
class LevenbergMarquardt(FullBatch):
    """Steps p with `(J'J + m D^2) p = -J'r`, as long as a radius allows within which residuals are nearly linear.

    J is the Jacobian of the residuals r, D the largest norm of each of its columns so far.  m is chosen so that
    `|D p|` is the radius, or 0; the radius grows where the loss falls as predicted and shrinks where it does not.
    `radius` is the first one, in units of `|D w|`.  The loss must be made of residuals, as `mse` is.
    Levenberg 1944, Marquardt 1963, Moré 1978; MINPACK's lmder, SciPy's `least_squares(method="lm")`.
    """

    residuals: ClassVar[bool] = True
    scales: ClassVar[bool] = False
    radius: float = bounded(100.0, 1e-6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr != 1:
            raise ValueError("lr has no meaning here: the length of a step follows from radius")

    def check_size(self, weights: int) -> None:
        """Refuse a Jacobian with too many columns."""
        if weights > LARGEST:
            message = (
                f"levenberg_marquardt makes the Jacobian for {counted(weights, 'weight')}, at most {LARGEST}"
            )
            raise ValueError(f"{message}: gauss_newton takes more")

    def fresh(self, weights: int) -> State:
        """No scale and no radius yet."""
        return {"scale": np.zeros(weights), "radius": np.zeros(()), "damping": np.zeros(())}

    def iterate(self, f: Function, start: Point, state: State, lr: float) -> Iteration:
        """Try steps, each shorter than the one before, until one is taken."""
        if self.converged(start):
            return Iteration(start, state, Ended.CONVERGED)
        r, jacobian = f.residuals(start)
        norms = np.sqrt((jacobian**2).sum(axis=0))
        first = not state["radius"]
        scale = np.where(norms > 0, norms, 1.0) if first else np.maximum(state["scale"], norms)
        model = _Model(r, jacobian, scale, f.resolution)
        length = float(np.sqrt(((scale * start.x) ** 2).sum()))
        radius = self.radius * (length or 1.0) if first else float(state["radius"])
        damping, end = float(state["damping"]), None
        while end is None:
            damping = model.damping(radius, damping)
            step = model.step(damping)
            size = float(np.sqrt(((scale * step) ** 2).sum()))
            radius = min(radius, size) if first else radius
            first = False
            trial = f.at(start.x + step)
            change = model.change(step, size, damping, start.value, trial)
            radius, damping = change.adapted(radius, size, damping)
            if change.ratio >= ACCEPTED:
                end = trial
            elif change.predicted <= max(f.resolution, 2.3e-16) or radius <= 2.3e-16 * length:
                return Iteration(start, self.fresh(len(start.x)), Ended.RESOLVED)
        kept = {"scale": scale, "radius": np.asarray(radius), "damping": np.asarray(damping)}
        return Iteration(end, kept, self.converged(end))


@dataclass(frozen=True)
class _Change:
    """How the loss changed, as shares of what it was; `slope` is that of the residuals' norm along the step."""

    actual: float
    predicted: float
    slope: float

    @property
    def ratio(self) -> float:
        return self.actual / self.predicted if self.predicted else 0.0

    def adapted(self, radius: float, size: float, damping: float) -> tuple[float, float]:
        """The radius and the damping for the next step."""
        if self.ratio <= 0.25:
            shorter = 0.5 if self.actual >= 0 else 0.5 * self.slope / (self.slope + 0.5 * self.actual)
            shorter = max(shorter, 0.1) if self.actual > -99 else 0.1
            return shorter * min(radius, size / 0.1), damping / shorter
        if damping == 0 or self.ratio >= 0.75:
            return size / 0.5, 0.5 * damping
        return radius, damping


class _Model:
    """The residuals as linear functions, in the scale D, by the singular values of `J / D`."""

    def __init__(self, r: Array, jacobian: Array, scale: Array, resolution: float) -> None:
        self._scale, self._jacobian = scale, jacobian
        u, s, self._vt = np.linalg.svd(jacobian / scale, full_matrices=False)
        self._s, self._b = s, u.T @ r
        self._value = float(r @ r)
        self._full = len(s) == len(scale) and float(s.min()) > max(resolution, 1e-15) * float(s.max())

    def step(self, damping: float) -> Array:
        """The step p [n] of a damping."""
        found: Array = -(self._vt.T @ self._scaled(damping)) / self._scale
        return found

    def _scaled(self, damping: float) -> Array:
        below = self._s**2 + damping
        kept = below > (0 if self._full else 1e-14 * float(self._s.max()) ** 2)
        return np.where(kept, self._s * self._b / np.where(kept, below, 1.0), 0.0)

    def _excess(self, damping: float, radius: float) -> tuple[float, float]:
        """How much longer than the radius the step is, and how much more damping would mend that, by Newton."""
        scaled = self._scaled(damping)
        size = float(np.sqrt(scaled @ scaled))
        below = np.maximum(self._s**2 + damping, 1e-300)
        slope = float((scaled**2 / below).sum()) / size if size else 0.0
        excess = size - radius
        return excess, (size / radius) * (excess / slope) if slope else 0.0

    def damping(self, radius: float, last: float) -> float:
        """The damping of a step whose length is the radius, to a tenth; 0 where Gauss-Newton's is short enough."""
        excess, more = self._excess(0.0, radius)
        if excess <= CLOSE * radius:
            return 0.0
        steepest = float(np.sqrt(((self._s * self._b) ** 2).sum()))
        low, high = more if self._full else 0.0, steepest / radius
        damping = min(max(last, low), high) or steepest / (radius + excess)
        for _ in range(10):
            excess_before = excess
            damping = damping or 0.001 * high
            excess, more = self._excess(damping, radius)
            if abs(excess) <= CLOSE * radius or (low == 0 and excess <= excess_before < 0):
                break
            if excess > 0:
                low = max(low, damping)
            else:
                high = min(high, damping)
            damping = max(low, damping + more)
        return damping

    def change(self, step: Array, size: float, damping: float, value: float, trial: Point) -> _Change:
        """What the model predicts of a step, and what became of it."""
        finite = np.isfinite(trial.value) and trial.value < 100 * value and np.isfinite(trial.gradient).all()
        along = self._jacobian @ step
        linear, damped = float(along @ along) / self._value, damping * size**2 / self._value
        actual = 1 - trial.value / value if finite else -100.0
        return _Change(actual, linear + 2 * damped, -(linear + damped))
