"""Nonlinear conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.elaborate import shown
from netdsl.source import brief
from netdsl.train.full_batch.first_step import expected
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.method import LINE_SEARCHES, LineSearched, State
from netdsl.train.full_batch.strong_wolfe import StrongWolfe

Share = Callable[[Array, Array, Array], float]
"""How much of the last direction goes on, from the new gradient, the old one and the direction."""


def _fletcher_reeves(new: Array, old: Array, last: Array) -> float:
    return float(new @ new) / float(old @ old)


def _polak_ribiere(new: Array, old: Array, last: Array) -> float:
    return float(new @ (new - old)) / float(old @ old)


def _hestenes_stiefel(new: Array, old: Array, last: Array) -> float:
    return float(new @ (new - old)) / float(last @ (new - old))


def _dai_yuan(new: Array, old: Array, last: Array) -> float:
    return float(new @ new) / float(last @ (new - old))


FORMULAS: Mapping[str, Share] = {
    "fletcher_reeves": _fletcher_reeves,
    "polak_ribiere": _polak_ribiere,
    "hestenes_stiefel": _hestenes_stiefel,
    "dai_yuan": _dai_yuan,
}
PARALLEL = 0.5
"""New gradients that have this share of the old one in them start anew: on a parabola they are orthogonal."""
ENOUGH = 0.01
"""A direction falls at least by this share of what steepest descent does, or is given up for it; SciPy's."""


@dataclass(frozen=True)
class Cg(LineSearched):
    """Nonlinear conjugate gradients, `d = -g + beta d`: two vectors are all that is kept.

    `formula` says what beta is: with y the change of the gradient g to g+, `fletcher_reeves` (1964)
    `g+'g+ / g'g`, `polak_ribiere` (1969) `g+'y / g'g`, `hestenes_stiefel` (1952) `g+'y / d'y`, `dai_yuan` (1999)
    `g+'g+ / d'y`.  A beta below 0 is 0, which starts anew from steepest descent.  So do gradients that are far from
    orthogonal (Powell 1977), and a direction that hardly falls; Nocedal and Wright 2006, section 5.2.
    """

    choices: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "line_search": LINE_SEARCHES,
        "formula": {name: name for name in FORMULAS},
    }
    flatness: ClassVar[float] = 0.4
    formula: str = "polak_ribiere"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.formula not in FORMULAS:
            raise ValueError(
                f"formula must be one of {', '.join(FORMULAS)}, not {brief(shown(self.formula))}"
            )
        if not isinstance(self.line_search, StrongWolfe):
            raise ValueError("line_search must be strong_wolfe: without it directions are not conjugate")

    def empty(self, weights: int) -> State:
        """No direction yet."""
        return {"gradient": np.zeros(weights), "direction": np.zeros(weights), "before": np.zeros(2)}

    def direction(self, f: Function, start: Point, state: State) -> Array:
        """Steepest descent, and a share of the last direction."""
        new, old, last = start.gradient, state["gradient"], state["direction"]
        if not state["before"][0]:
            return -new
        if abs(float(new @ old)) >= PARALLEL * float(new @ new):
            return -new
        share = max(0.0, FORMULAS[self.formula](new, old, last))
        found: Array = share * last - new
        return found if float(found @ new) <= -ENOUGH * float(new @ new) else -new

    def first_step(self, start: Point, slope: float, state: State) -> float:
        """See `expected`."""
        return expected(start.value, state["before"], start.gradient, slope)

    def learnt(self, start: Point, end: Point, direction: Array, state: State) -> State:
        """The gradient that the next one is compared with, and the direction."""
        before = np.array([1.0, start.value])
        return {"gradient": start.gradient, "direction": direction, "before": before}
