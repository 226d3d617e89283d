"""Check all steps of a lowered program before it is linked: a wrong plan gives an error, not a memory fault."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.step import PACKED, SCRATCH, Slot
from netdsl.cpu.bounds import Broken, Claims, Room
from netdsl.cpu.contract import bounds as bounds_contract
from netdsl.cpu.contract import winograd_bounds
from netdsl.cpu.kernels import bounds as bounds_kernels
from netdsl.cpu.step import Step
from netdsl.ir import Node, TensorType
from netdsl.schedule import View
from netdsl.source import Diagnostic, NetError

RULES = {**bounds_contract.RULES, **winograd_bounds.RULES, **bounds_kernels.RULES}


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
        rooms = _Rooms(call, buffers)
        for step in call.steps:
            _check(step, call.node, rooms)


class _Rooms:
    """What the steps of a call may touch: its operands and results as far as they lie in their buffers."""

    def __init__(self, call: LoweredCall[Step], buffers: Sequence[View]) -> None:
        self._call, self._buffers = call, buffers

    def of(self, slot: Slot) -> Room:
        """The room of a slot; raises Broken where it has none."""
        number = slot.view.buffer
        if number == SCRATCH:
            return Room("scratch", View.dense(SCRATCH, TensorType((self._call.scratch,), "bool")))
        if number == PACKED:
            packed = self._call.packed
            if packed is None:
                raise Broken("it has no packed weights")
            return Room("packed", View.dense(PACKED, self._buffers[packed].type))
        written, read = ("result", self._call.results), ("operand", self._call.operands)
        for kind, views in (written,) if slot.written else (written, read):
            for k, view in enumerate(views):
                part = slot.view is view or slot.view.inside(view)
                if part and view.inside(self._buffers[view.buffer]):
                    return Room(f"{kind} {k}", slot.view)
        raise Broken(f"{slot.view} is no part of its operands and results")


def _check(step: Step, node: Node, rooms: _Rooms) -> None:
    try:
        if step.driver not in RULES:
            raise Broken(f"nothing is known about its driver {step.driver}")
        RULES[step.driver](Claims(step, rooms.of))
    except Broken as broken:
        raise PlanError(step, node, str(broken)) from None
