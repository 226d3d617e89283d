"""The planner of each primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from netdsl.backend.elementwise import ELEMENTWISE
from netdsl.backend.step import Plan
from netdsl.cpu.contract.plan import plan_contract
from netdsl.cpu.contract.problem import Options
from netdsl.cpu.kernels.gather import plan_gather
from netdsl.cpu.kernels.map import plan_elementwise
from netdsl.cpu.kernels.non_max_suppression import plan_suppress
from netdsl.cpu.kernels.reduce import plan_reduce
from netdsl.cpu.kernels.reduce_window import plan_window
from netdsl.cpu.kernels.roi_reduce import plan_region
from netdsl.cpu.kernels.top_k import plan_top
from netdsl.cpu.step import Step
from netdsl.ir import Op
from netdsl.primitives import (
    Contract,
    Gather,
    Map,
    NonMaxSuppression,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    TopK,
)
from netdsl.primitives.epilogue import NOTHING, match_epilogue
from netdsl.schedule import View

Planner = Callable[[Any, Sequence[View], Sequence[View]], list[Step]]
PLANNERS: Mapping[type, Planner] = {
    **dict.fromkeys(ELEMENTWISE, plan_elementwise),
    Reduce: plan_reduce,
    ReduceWindow: plan_window,
    ReduceWindowGrad: plan_window,
    RoiReduce: plan_region,
    RoiReduceGrad: plan_region,
    NonMaxSuppression: plan_suppress,
    Gather: plan_gather,
    ScatterAdd: plan_gather,
    TopK: plan_top,
}


def plan(op: Op, operands: Sequence[View], results: Sequence[View], options: Options) -> Plan[Step]:
    """The steps of a primitive; LookupError for one, or a case of one, that has no kernel."""
    if isinstance(op, Contract):
        return _contract(op, operands, results, options)
    if type(op) not in PLANNERS:
        raise LookupError(f"the primitive {op.name} has no CPU kernel")
    return Plan(tuple(PLANNERS[type(op)](op, operands, results)))


def _contract(
    op: Contract, operands: Sequence[View], results: Sequence[View], options: Options
) -> Plan[Step]:
    """A contraction, its epilogue in the kernel where it can be, else as a map over the result."""
    if op.precision != "f32":
        raise LookupError(f"the CPU has no kernel that multiplies in {op.precision}")
    (result,) = results
    epilogue, rest = match_epilogue(op.epilogue, [v.type for v in operands], result.type)
    if epilogue.residual is not None and operands[epilogue.residual].pitch != result.pitch:
        epilogue, rest = NOTHING, op.epilogue  # the kernels find both by the same strides
    plan = plan_contract(op, operands, result, options, epilogue)
    if rest is None:
        return plan
    after = plan_elementwise(Map((rest,), result.shape), [result, *operands[2:]], results)
    return replace(plan, steps=(*plan.steps, *after))
