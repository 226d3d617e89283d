"""What a team must know of the steps of a call: about how long each takes, and which bytes it touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netdsl.backend.lower import LoweredCall
from netdsl.backend.step import PACKED, SCRATCH, Slot
from netdsl.cost import nbytes, primitive_work
from netdsl.cpu.step import Step
from netdsl.cpu.threads.phases import Task, Touch
from netdsl.native import host
from netdsl.primitives import Contract

#: What a thread does in a nanosecond: multiply-adds and other operations for each lane of a vector, and bytes.
PRODUCTS, OPERATIONS, BYTES = 5.0, 2.0, 16.0

Room = Callable[[int], tuple[int, int]]
"""Where a buffer begins, by its number, and its bytes."""


def tasks(call: LoweredCall[Step], room: Room) -> Iterator[Task]:
    """The task of each step; steps of one call are taken to be equally long."""
    each = _nanoseconds(call) / max(1, len(call.steps))
    for step in call.steps:
        yield Task(each, step.units, [_touch(slot, room) for slot in step.slots.values()])


def _nanoseconds(call: LoweredCall[Step]) -> float:
    """About how long one thread takes for a call."""
    operands = [view.type for view in call.operands]
    moved = nbytes(operands) + nbytes(view.type for view in call.results)
    packs = not call.results
    rate = PRODUCTS if isinstance(call.node.op, Contract) else OPERATIONS
    work = 0 if packs else primitive_work(call.node, operands)
    return work / (rate * host.lanes()) + moved / BYTES


def _touch(slot: Slot, room: Room) -> Touch:
    """The bytes of a slot: all scratch or packed memory, of other buffers what the plan was checked to keep to."""
    start, size = room(slot.view.buffer)
    if slot.view.buffer in (SCRATCH, PACKED):
        return Touch(start, start + size, slot.written, slot.view)
    hull = slot.view.hull()
    return Touch(start + hull.offset, start + hull.offset + hull.type.nbytes, slot.written, slot.view)
