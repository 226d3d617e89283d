"""Check all steps of a lowered program before it is linked: a wrong plan gives an error, not a memory fault."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.step import PACKED, SCRATCH, Slot
from netdsl.cpu.bounds import Broken, Claims, Room
from netdsl.cpu.contract import bounds as bounds_contract
from netdsl.cpu.kernels import bounds as bounds_kernels
from netdsl.cpu.step import Step
from netdsl.ir import Node, TensorType
from netdsl.schedule import View
from netdsl.source import Diagnostic, NetError

RULES = {**bounds_contract.RULES, **bounds_kernels.RULES}


class PlanError(NetError):
    """A step would access memory outside of its buffers: a bug in a planner."""

    def __init__(self, step: Step, node: Node, reason: str) -> None:
        message = f"the plan of {node.id} ({step.title}) is wrong, nothing was run: {reason}"
        fix = "this is a fault of netdsl, not of the network: please report it with this message"
        super().__init__(Diagnostic("internal", message, node.span, fix=fix))


def verify(lowered: Lowered[Step]) -> None:
    """Raise PlanError unless every step stays inside of its buffers, its tables and its workspace."""
    buffers = [View.dense(k, b.type) for k, b in enumerate(lowered.buffers)]
    for call in lowered.calls:
        for step in call.steps:
            _check(step, call, buffers)


def _check(step: Step, call: LoweredCall[Step], buffers: Sequence[View]) -> None:
    def room(slot: Slot) -> Room:
        number = slot.view.buffer
        if number == SCRATCH:
            return Room("scratch", View.dense(SCRATCH, TensorType((call.scratch,), "bool")))
        if number == PACKED:
            if call.packed is None:
                raise Broken("it has no packed weights")
            return Room("packed", View.dense(PACKED, buffers[call.packed].type))
        own = [("result", k, view) for k, view in enumerate(call.results)]
        if not slot.written:
            own += [("operand", k, view) for k, view in enumerate(call.operands)]
        for name, k, view in own:
            if (slot.view is view or slot.view.inside(view)) and view.inside(buffers[number]):
                return Room(f"{name} {k}", slot.view)
        raise Broken(f"{slot.view} is no part of its operands and results")

    try:
        if step.driver not in RULES:
            raise Broken(f"nothing is known about its driver {step.driver}")
        RULES[step.driver](Claims(step, room))
    except Broken as broken:
        raise PlanError(step, call.node, str(broken)) from None
