"""From a schedule to steps: each call is handed to the planner of its primitive."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netdsl.cpu import host
from netdsl.cpu.contract_plan import ContractPlan, geometry, plan_contract
from netdsl.cpu.epilogue import match_epilogue
from netdsl.cpu.library import KernelLibrary
from netdsl.cpu.map import plan_concat, plan_gather, plan_map, plan_transpose
from netdsl.cpu.nest import Pending
from netdsl.cpu.reduce import plan_reduce
from netdsl.cpu.region import plan_region
from netdsl.cpu.step import Step
from netdsl.cpu.suppress import plan_suppress
from netdsl.cpu.take import plan_take
from netdsl.cpu.top import plan_top
from netdsl.cpu.window import plan_window
from netdsl.ir import Node, TensorType
from netdsl.primitives import (
    Concat,
    Contract,
    Gather,
    Map,
    PutAdd,
    Reduce,
    Region,
    RegionGrad,
    Scatter,
    Suppress,
    Take,
    TopIndices,
    Transpose,
    Window,
    WindowGrad,
)
from netdsl.scalar import Arg
from netdsl.schedule import Buffer, Call, Schedule

Planner = Callable[[Any, Sequence[TensorType], Sequence[TensorType]], list[Pending]]
PLANNERS: Mapping[type, Planner] = {
    Map: plan_map,
    Reduce: plan_reduce,
    Window: plan_window,
    WindowGrad: plan_window,
    Region: plan_region,
    RegionGrad: plan_region,
    Suppress: plan_suppress,
    Concat: plan_concat,
    Gather: plan_gather,
    Scatter: plan_gather,
    Take: plan_take,
    PutAdd: plan_take,
    Transpose: plan_transpose,
    TopIndices: plan_top,
}


@dataclass(frozen=True)
class LoweredCall:
    """The steps of a call with the numbers of its buffers, and the scratch bytes that they share.

    `packed` is the number of the buffer with the packed weights, where there is one.
    """

    node: Node
    operands: tuple[int, ...]
    results: tuple[int, ...]
    steps: tuple[Step, ...]
    scratch: int
    packed: int | None = None


@dataclass(frozen=True)
class Lowered:
    """The calls of both phases, the buffers with those for packed weights added, and the generated kernels."""

    prepare: tuple[LoweredCall, ...]
    run: tuple[LoweredCall, ...]
    buffers: tuple[Buffer, ...]
    kernels: KernelLibrary | None


def lower(schedule: Schedule) -> Lowered:
    """Plan every call; raises LookupError for a primitive, or a case of one, that has no kernel."""
    return _Lowering(schedule).lowered()


@dataclass
class _Draft:
    """A planned call: steps that are ready, and those whose kernel is not compiled yet."""

    call: Call
    steps: list[Step | Pending]
    scratch: int = 0
    packed: int | None = None


class _Lowering:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.buffers = list(schedule.buffers)
        self.prepare: list[_Draft] = []
        self.run: list[_Draft] = []

    def lowered(self) -> Lowered:
        for calls, drafts in ((self.schedule.prepare, self.prepare), (self.schedule.run, self.run)):
            for call in calls:
                drafts.append(self._draft(call))
        for old, new in self.schedule.copies:
            self.run.append(self._copy(old, new))
        pending = {
            s.key: s.kernel
            for draft in (*self.prepare, *self.run)
            for s in draft.steps
            if isinstance(s, Pending)
        }
        missing = {key: kernel for key, kernel in sorted(pending.items()) if _known_as(key) not in _KNOWN}
        kernels = KernelLibrary("maps", dict(sorted(pending.items()))) if pending else None
        if kernels is not None and missing:
            made = KernelLibrary("maps", missing)
            _KNOWN.update({_known_as(key): (address, made) for key, address in made.addresses.items()})
            kernels.cached = made.cached
        return Lowered(
            tuple(map(_finish, self.prepare)), tuple(map(_finish, self.run)), tuple(self.buffers), kernels
        )

    def _types(self, call: Call) -> tuple[list[TensorType], list[TensorType]]:
        graph = self.schedule.graph
        return [graph.type(v) for v in call.node.inputs], list(call.node.types)

    def _draft(self, call: Call) -> _Draft:
        operands, results = self._types(call)
        op = call.node.op
        if isinstance(op, Contract):
            return self._contract(call, op, operands, results)
        if type(op) not in PLANNERS:
            raise LookupError(f"the primitive {op.name} has no CPU kernel")
        return _Draft(call, list(PLANNERS[type(op)](op, operands, results)))

    def _contract(
        self, call: Call, op: Contract, operands: Sequence[TensorType], results: Sequence[TensorType]
    ) -> _Draft:
        """A contraction, its epilogue in the kernel where it can be, else as a map over the result."""
        shapes = [t.shape for t in (*operands[:2], *results)]
        order = {"output": (0, 1, 2), "input": (2, 1, 0), "kernel": (0, 2, 1)}[op.role]
        x, w, y = (shapes[k] for k in order)
        epilogue, rest = match_epilogue(op.epilogue, operands, results[0])
        plan = plan_contract(op, geometry(op, x, w, y), epilogue)
        draft = self._packed(call, plan)
        if rest is not None:
            pending = plan_map(Map((rest,), results[0].shape), [results[0], *operands[2:]], results)
            draft.steps.extend(replace(p, step=functools.partial(_shifted, p.step)) for p in pending)
        return draft

    def _packed(self, call: Call, plan: ContractPlan) -> _Draft:
        """Pack fixed weights once, others in every run."""
        if not plan.pack:
            return _Draft(call, list(plan.steps), plan.scratch)
        fixed = self._fixed(call.operands[1])
        t = TensorType((plan.packed // 4,))
        self.buffers.append(Buffer("kept", call.node.id, t) if fixed else Buffer("packed", call.node.id, t))
        number = len(self.buffers) - 1
        if fixed:
            self.prepare.append(_Draft(call, list(plan.pack), 0, number))
            return _Draft(call, list(plan.steps), plan.scratch, number)
        return _Draft(call, [*plan.pack, *plan.steps], plan.scratch, number)

    def _fixed(self, buffer: int) -> bool:
        """Whether a weight changes only when it is set from outside."""
        b = self.buffers[buffer]
        return b.kind in ("kept", "const") or (
            b.kind in ("param", "state") and b.name not in self.schedule.graph.updates
        )

    def _copy(self, old: int, new: int) -> _Draft:
        t = self.buffers[old].type
        node = Node(f"update of {self.buffers[old].name}", Map((Arg(0),)), (), (t,))
        return _Draft(Call(node, (new,), (old,)), list(plan_map(Map((Arg(0),)), [t], [t])))


def _shifted(make: Callable[[int], Step], entry: int) -> Step:
    """A map over (result, third operand, ...) as a step of a contraction, whose first two operands it skips."""
    step = make(entry)
    slots = {}
    for word, slot in step.slots.items():
        if slot.place == "operand":
            moved = (
                replace(slot, place="result", index=0)
                if slot.index == 0
                else replace(slot, index=slot.index + 1)
            )
            slots[word] = moved
        else:
            slots[word] = slot
    return replace(step, slots=slots)


#: the generated kernels of this process and the libraries that hold them: programs share what they can
_KNOWN: dict[tuple[str, int], tuple[int, KernelLibrary]] = {}


def _known_as(key: str) -> tuple[str, int]:
    return key, host.lanes()


def _finish(draft: _Draft) -> LoweredCall:
    steps = [s.step(_KNOWN[_known_as(s.key)][0]) if isinstance(s, Pending) else s for s in draft.steps]
    call = draft.call
    scratch = max([draft.scratch, *(s.scratch for s in steps)])
    return LoweredCall(call.node, call.operands, call.results, tuple(steps), scratch, draft.packed)
