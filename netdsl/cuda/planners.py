"""The planner of each primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netdsl.backend.elementwise import ELEMENTWISE
from netdsl.backend.step import Plan, Slot
from netdsl.cuda.contract.plan import plan_contract
from netdsl.cuda.kernels.gather import plan_gather
from netdsl.cuda.kernels.map import plan_elementwise
from netdsl.cuda.kernels.non_max_suppression import plan_suppress
from netdsl.cuda.kernels.reduce import plan_reduce
from netdsl.cuda.kernels.reduce_window import plan_window
from netdsl.cuda.kernels.roi_reduce import plan_region
from netdsl.cuda.kernels.roi_reduce_grad import plan_region_grad
from netdsl.cuda.kernels.scatter_add import plan_scatter_add
from netdsl.cuda.kernels.top_k import plan_top
from netdsl.cuda.step import Copy, CudaStep, Launch
from netdsl.ir import Op
from netdsl.primitives import (
    Contract,
    Gather,
    NonMaxSuppression,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    TopK,
    Transfer,
)
from netdsl.schedule import View

Planner = Callable[[Any, Sequence[View], Sequence[View]], list[Launch]]
PLANNERS: Mapping[type, Planner] = {
    **dict.fromkeys(ELEMENTWISE, plan_elementwise),
    Contract: plan_contract,
    Reduce: plan_reduce,
    ReduceWindow: plan_window,
    ReduceWindowGrad: plan_window,
    Gather: plan_gather,
    ScatterAdd: plan_scatter_add,
    TopK: plan_top,
    NonMaxSuppression: plan_suppress,
    RoiReduce: plan_region,
    RoiReduceGrad: plan_region_grad,
}


def plan(op: Op, operands: Sequence[View], results: Sequence[View]) -> Plan[CudaStep]:
    """The steps of a primitive; LookupError for one, or a case of one, that has no kernel."""
    if isinstance(op, Transfer):
        return Plan(_transfer(operands[0], results[0]))
    if type(op) not in PLANNERS:
        raise LookupError(f"the primitive {op.name} has no CUDA kernel")
    return Plan(tuple(PLANNERS[type(op)](op, operands, results)))


def _transfer(source: View, target: View) -> tuple[Copy, ...]:
    """One copy; nothing for no elements.  Both views are dense: others are not accepted."""
    size = target.type.nbytes
    slots = {"source": Slot(source), "target": Slot(target, written=True)}
    return (Copy(f"copy {target.type} between GPUs", slots, size),) if size else ()
