"""What an algorithm for contractions is told, and what it has to offer to be a candidate."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from netdsl.backend.step import Plan
from netdsl.cpu.contract.geometry import Correlation, Geometry, backward, forward
from netdsl.cpu.step import Step
from netdsl.primitives.epilogue import Epilogue
from netdsl.schedule import View


@dataclass(frozen=True)
class Options:
    """What is asked of a plan.

    How the work is cut is made for `threads` threads; any number may run it, with the same bits. With `exact`, sums
    are the plain ones of products. `fixed` says that the weights stay, so that packing them is done once.
    """

    threads: int
    exact: bool = False
    fixed: bool = False


@dataclass(frozen=True)
class Problem:
    """A contraction to be planned: `operands` are the two factors, then those of the epilogue."""

    role: str
    geometry: Geometry
    operands: Sequence[View]
    result: View
    epilogue: Epilogue
    options: Options

    @functools.cached_property
    def correlations(self) -> tuple[Correlation, ...]:
        """What roles "forward" and "backward_data" come to, without those that have no work."""
        g = self.geometry
        found = [forward(g)] if self.role == "forward" else list(backward(g))
        return tuple(c for c in found if c.pixels and c.columns)


class Candidate(Protocol):
    """An algorithm for contractions."""

    def applies(self, problem: Problem) -> bool:
        """Whether it can do the problem."""

    def cost(self, problem: Problem) -> float:
        """Cycles of one thread, the same for any number of threads, so that all make the same choice."""

    def plan(self, problem: Problem) -> Plan[Step]:
        """The steps."""
