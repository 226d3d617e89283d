"""What the methods have in common: settings, an iteration, and what they keep between iterations."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.elaborate import shown
from netdsl.source import brief
from netdsl.train.full_batch.backtracking import Backtracking
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.line import Line, Trial
from netdsl.train.full_batch.strong_wolfe import StrongWolfe
from netdsl.train.make import bounded, check_numbers, positive

State = dict[str, Array]
LineSearch = Backtracking | StrongWolfe
STRONG_WOLFE = StrongWolfe()
VAIN, PATIENCE = "vain", 5
"""So many iterations in vain end a training: differences of the loss are below what float32 resolves."""
LINE_SEARCHES: Mapping[str, type] = {"backtracking": Backtracking, "strong_wolfe": StrongWolfe}


class Ended(enum.IntEnum):
    """Why no further iteration would help."""

    NOT = 0
    CONVERGED = 1
    RESOLVED = 2


@dataclass(frozen=True)
class Iteration:
    """Where an iteration ended, what the method keeps, and why no further one would help, if none would."""

    point: Point
    state: State
    ended: Ended = Ended.NOT


@dataclass(frozen=True)
class FullBatch:
    """Base.  `lr` is the first step that is tried, of the length that the method thinks best.

    `tolerance` ends the training where no element of the gradient is larger (SciPy's `gtol`); `piece` is how many
    samples are computed at a time, whose sums are added up in float64.
    """

    choices: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    residuals: ClassVar[bool] = False
    scales: ClassVar[bool] = True
    unnamed: ClassVar[int] = 1
    lr: float = positive(1.0)
    tolerance: float = bounded(1e-5, 0.0)
    piece: int = 1024

    def __post_init__(self) -> None:
        check_numbers(self)
        self._check_count("piece", self.piece)

    def _check_count(self, name: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
            raise ValueError(f"{name} must be a whole number from 1, not {brief(shown(value))}")

    def check_size(self, weights: int) -> None:
        """Raise ValueError where the method would keep too much of so many weights."""

    def fresh(self, weights: int) -> State:
        """What the method keeps at the start: arrays whose shapes never change."""
        return {}

    def iterate(self, f: Function, start: Point, state: State, lr: float) -> Iteration:
        """One iteration from a point, with `lr` for the first step."""
        raise NotImplementedError

    def converged(self, point: Point) -> Ended:
        """Whether the gradient is small enough."""
        return Ended.NOT if point.steepness > self.tolerance else Ended.CONVERGED

    def why(self, ended: Ended) -> str:
        """The reason in words."""
        if ended is Ended.CONVERGED:
            return f"converged: no element of the gradient is above {self.tolerance:g}"
        return "converged as far as float32 can tell: no step makes the loss smaller"


@dataclass(frozen=True)
class LineSearched(FullBatch):
    """Base of those that choose a direction and then search along it.

    `line_search` is `strong_wolfe`, `backtracking`, or none: the step is `lr`, unseen.
    """

    choices: ClassVar[Mapping[str, Mapping[str, Any]]] = {"line_search": LINE_SEARCHES}
    flatness: ClassVar[float] = 0.9
    line_search: LineSearch | None = STRONG_WOLFE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.line_search is not None and not isinstance(self.line_search, LineSearch):
            given = brief(shown(self.line_search))
            raise ValueError(f"line_search must be one of {', '.join(LINE_SEARCHES)}, not {given}")

    def empty(self, weights: int) -> State:
        """What the direction is made of, at the start."""
        return {}

    def fresh(self, weights: int) -> State:
        """The same, and how many iterations were in vain, with the lowest value and gradient before them."""
        return {**self.empty(weights), VAIN: np.array([0.0, np.inf, np.inf])}

    def direction(self, f: Function, start: Point, state: State) -> Array:
        """Where to search; steepest descent for a fresh state."""
        raise NotImplementedError

    def first_step(self, start: Point, slope: float, state: State) -> float:
        """The step to try first."""
        return 1.0

    def learnt(self, start: Point, end: Point, direction: Array, state: State) -> State:
        """What is kept after a step."""
        return state

    def iterate(self, f: Function, start: Point, state: State, lr: float) -> Iteration:
        """Search along the direction; where nothing lower is found, forget what is kept and try once more."""
        if self.converged(start):
            return Iteration(start, state, Ended.CONVERGED)
        vain, fresh = state[VAIN], self.empty(len(start.x))
        for kept in (state, fresh) if fresh else (state,):
            direction = self.direction(f, start, kept)
            slope = float(start.gradient @ direction)
            if not -np.inf < slope < 0:
                direction = -start.gradient
                slope = -float(start.gradient @ start.gradient)
            end = self._search(f, start, direction, lr * self.first_step(start, slope, kept))
            if end is not None:
                vain = self._vain(end.point, vain)
                new = {**self.learnt(start, end.point, direction, kept), VAIN: vain}
                ended = Ended.RESOLVED if vain[0] >= PATIENCE else Ended.NOT
                return Iteration(end.point, new, self.converged(end.point) or ended)
        return Iteration(start, self.fresh(len(start.x)), Ended.RESOLVED)

    def _search(self, f: Function, start: Point, direction: Array, step: float) -> Trial | None:
        line = Line(f, start, direction)
        return (
            line.at(step) if self.line_search is None else self.line_search.search(line, step, self.flatness)
        )

    def _vain(self, end: Point, vain: Array) -> Array:
        """Count the iterations in a row that led to no lower value and no smaller gradient than ever before."""
        count, value, steepness = vain
        better = end.value < value or end.steepness < steepness or self.line_search is None
        return np.array([0.0 if better else count + 1, min(value, end.value), min(steepness, end.steepness)])
