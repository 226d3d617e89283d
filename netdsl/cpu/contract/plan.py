"""Plans contractions: of the algorithms that can do one, the one that costs the fewest cycles."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.backend.step import Plan
from netdsl.cpu.contract.band_gradient import BandGradients
from netdsl.cpu.contract.correlate_plan import Correlations
from netdsl.cpu.contract.depthwise_plan import DepthwiseSums
from netdsl.cpu.contract.geometry import geometry
from netdsl.cpu.contract.gradient import WeightGradients
from netdsl.cpu.contract.problem import Candidate, Options, Problem
from netdsl.cpu.contract.winograd_plan import WinogradTiles
from netdsl.cpu.step import Step
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import NOTHING, Epilogue
from netdsl.schedule import View

CANDIDATES: Sequence[Candidate] = (
    DepthwiseSums(),
    WeightGradients(),
    BandGradients(),
    Correlations(),
    WinogradTiles(2),
    WinogradTiles(4),
)


def plan_contract(
    op: Contract,
    operands: Sequence[View],
    result: View,
    options: Options,
    epilogue: Epilogue = NOTHING,
) -> Plan[Step]:
    """The steps of a contraction, with an epilogue over the operands after the first two."""
    order = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}[op.role]
    views = (*operands[:2], result)
    g = geometry(op, *(views[k] for k in order))
    problem = Problem(op.role, g, operands, result, epilogue, options)
    return choose(problem).plan(problem)


def choose(problem: Problem) -> Candidate:
    """The cheapest algorithm that applies."""
    return min((c for c in CANDIDATES if c.applies(problem)), key=lambda c: c.cost(problem))
