"""From a schedule to steps: each call is handed to the planner of its primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netdsl.cpu.contract.plan import ContractPlan, plan_contract
from netdsl.cpu.kernels.gather import plan_gather
from netdsl.cpu.kernels.map import plan_concat, plan_map, plan_slice, plan_transpose
from netdsl.cpu.kernels.non_max_suppression import plan_suppress
from netdsl.cpu.kernels.reduce import plan_reduce
from netdsl.cpu.kernels.reduce_window import plan_window
from netdsl.cpu.kernels.roi_reduce import plan_region
from netdsl.cpu.kernels.top_k import plan_top
from netdsl.cpu.step import PACKED, SCRATCH, Slot, Step
from netdsl.ir import Node, TensorType
from netdsl.primitives import (
    Concat,
    Contract,
    Gather,
    Map,
    NonMaxSuppression,
    Pad,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    Slice,
    TopK,
    Transpose,
)
from netdsl.primitives.epilogue import match_epilogue
from netdsl.scalar import Arg
from netdsl.schedule import Buffer, Call, Schedule, View

Planner = Callable[[Any, Sequence[View], Sequence[View]], list[Step]]
PLANNERS: Mapping[type, Planner] = {
    Map: plan_map,
    Reduce: plan_reduce,
    ReduceWindow: plan_window,
    ReduceWindowGrad: plan_window,
    RoiReduce: plan_region,
    RoiReduceGrad: plan_region,
    NonMaxSuppression: plan_suppress,
    Concat: plan_concat,
    Slice: plan_slice,
    Pad: plan_slice,
    Gather: plan_gather,
    ScatterAdd: plan_gather,
    Transpose: plan_transpose,
    TopK: plan_top,
}


@dataclass(frozen=True)
class LoweredCall:
    """The steps of a call, and where its operands and results lie.

    `packed` is the number of the buffer with the packed weights, where there is one.
    """

    node: Node
    operands: tuple[View, ...]
    results: tuple[View, ...]
    steps: tuple[Step, ...]
    packed: int | None = None

    @property
    def scratch(self) -> int:
        """Bytes that the steps share, beside the buffers."""
        return max((s.scratch for s in self.steps), default=0)

    def buffer(self, slot: Slot) -> int | None:
        """The number of the buffer that a slot is in; None for scratch."""
        number = slot.view.buffer
        return {SCRATCH: None, PACKED: self.packed}.get(number, number)

    def touched(self) -> set[int]:
        """The buffers that are read or written: not the weights where their packed form is used."""
        found = {self.buffer(slot) for step in self.steps for slot in step.slots.values()}
        return {b for b in found if b is not None}


@dataclass(frozen=True)
class Lowered:
    """The calls of both phases, and the buffers of the schedule with those for packed weights added."""

    prepare: tuple[LoweredCall, ...]
    run: tuple[LoweredCall, ...]
    buffers: tuple[Buffer, ...]


def lower(schedule: Schedule, threads: int) -> Lowered:
    """Plan every call for so many threads; LookupError for a primitive, or a case of one, that has no kernel."""
    return _Lowering(schedule, threads).lowered()


class _Lowering:
    def __init__(self, schedule: Schedule, threads: int) -> None:
        self.schedule, self.threads = schedule, threads
        self.buffers = list(schedule.buffers)
        self.packs: dict[int, list[LoweredCall]] = {}

    def lowered(self) -> Lowered:
        prepare = [self._call(call) for call in self.schedule.prepare]
        run = [self._call(call) for call in self.schedule.run]
        run += [self._copy(old, new) for old, new in self.schedule.copies]
        return Lowered(tuple(self._with_packs(prepare)), tuple(run), tuple(self.buffers))

    def _with_packs(self, prepare: Sequence[LoweredCall]) -> list[LoweredCall]:
        """Weights are packed as soon as they are there, so that what they are packed from can go."""
        made = {view.buffer for call in prepare for view in call.results}
        calls = [pack for b, packs in self.packs.items() if b not in made for pack in packs]
        for call in prepare:
            calls.append(call)
            calls += [pack for view in call.results for pack in self.packs.get(view.buffer, ())]
        return calls

    def _call(self, call: Call) -> LoweredCall:
        op = call.node.op
        if isinstance(op, Contract):
            return self._contract(call, op)
        if type(op) not in PLANNERS:
            raise LookupError(f"the primitive {op.name} has no CPU kernel")
        return _lowered(call, PLANNERS[type(op)](op, call.operands, call.results))

    def _contract(self, call: Call, op: Contract) -> LoweredCall:
        """A contraction, its epilogue in the kernel where it can be, else as a map over the result."""
        (result,) = call.results
        epilogue, rest = match_epilogue(op.epilogue, [v.type for v in call.operands], result.type)
        lowered = self._packed(call, plan_contract(op, call.operands, result, self.threads, epilogue))
        if rest is None:
            return lowered
        after = plan_map(Map((rest,), result.shape), [result, *call.operands[2:]], call.results)
        return replace(lowered, steps=(*lowered.steps, *after))

    def _packed(self, call: Call, plan: ContractPlan) -> LoweredCall:
        """Pack fixed weights once, others in every run."""
        if not plan.pack:
            return _lowered(call, plan.steps)
        weights = call.operands[1].buffer
        fixed = self._fixed(weights)
        t = TensorType((plan.packed // 4,))
        self.buffers.append(Buffer("fixed" if fixed else "varying", call.node.id, t))
        number = len(self.buffers) - 1
        if not fixed:
            return _lowered(call, (*plan.pack, *plan.steps), number)
        pack = _lowered(Call(call.node, call.operands[:2], ()), plan.pack, number)
        self.packs.setdefault(weights, []).append(pack)
        return _lowered(call, plan.steps, number)

    def _fixed(self, buffer: int) -> bool:
        """Whether a weight changes only when it is set from outside."""
        b = self.buffers[buffer]
        return b.kind in ("fixed", "const") or (
            b.kind in ("param", "state") and b.name not in self.schedule.graph.updates
        )

    def _copy(self, old: View, new: View) -> LoweredCall:
        node = Node(f"update of {self.buffers[old.buffer].name}", Map((Arg(0),)), (), (old.type,))
        return _lowered(Call(node, (new,), (old,)), plan_map(Map((Arg(0),)), [new], [old]))


def _lowered(call: Call, steps: Sequence[Step], packed: int | None = None) -> LoweredCall:
    return LoweredCall(call.node, call.operands, call.results, tuple(steps), packed)
