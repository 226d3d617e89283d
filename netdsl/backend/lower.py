"""From a schedule to steps: each call is handed to the planners of a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from netdsl.backend.step import PACKED, SCRATCH, Plan, S, Slot, TooLarge
from netdsl.ir import Node, TensorType
from netdsl.primitives import Map
from netdsl.scalar import Arg
from netdsl.schedule import Buffer, Call, Schedule, View
from netdsl.source import Diagnostic, NetError

if TYPE_CHECKING:
    from netdsl.backend.target import Target


@dataclass(frozen=True)
class LoweredCall(Generic[S]):
    """The steps of a call, and where its operands and results lie.

    `packed` is the number of the buffer with the packed weights, where there is one.
    """

    node: Node
    operands: tuple[View, ...]
    results: tuple[View, ...]
    steps: tuple[S, ...]
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
class Lowered(Generic[S]):
    """The calls of both phases, and the buffers of the schedule with those for packed weights added.

    `outputs` are the buffers that are read after a run.
    """

    prepare: tuple[LoweredCall[S], ...]
    run: tuple[LoweredCall[S], ...]
    buffers: tuple[Buffer, ...]
    outputs: tuple[int, ...]

    @property
    def calls(self) -> tuple[LoweredCall[S], ...]:
        """Those that prepare, then those of a run."""
        return (*self.prepare, *self.run)

    @property
    def gpus(self) -> tuple[int | None, ...]:
        """Where there is anything: the device itself (None) and the numbers of other GPUs."""
        found = {b.gpu for b in self.buffers} | {call.node.gpu for call in self.calls}
        return (None, *sorted(gpu for gpu in found if gpu is not None))

    def spans(self) -> dict[int, tuple[int, int]]:
        """The first and the last call that touches each buffer but the leaves; outputs are read after the last."""
        touched = [(k, b) for k, call in enumerate(self.calls) for b in sorted(call.touched())]
        touched += [(len(self.calls), b) for b in self.outputs]
        spans: dict[int, tuple[int, int]] = {}
        for k, b in touched:
            if self.buffers[b].kind in ("fixed", "varying"):
                spans[b] = (spans.get(b, (k, k))[0], k)
        return spans

    def freed(self) -> list[list[int]]:
        """The buffers that are free before each call, and after the last: not used yet, or not any more."""
        freed: list[list[int]] = [[] for _ in range(len(self.calls) + 2)]
        begin = len(self.prepare)
        for b, (first, last) in self.spans().items():
            if not first < begin <= last:  # what runs find prepared stays
                freed[0 if first < begin else begin].append(b)
                freed[last + 1].append(b)
        return freed[:-1]


def lower(schedule: Schedule, target: Target[S]) -> Lowered[S]:
    """Plan every call; LookupError for a primitive, a case of one, or a dtype that the target has no kernel for.

    Errors: NetError for what is too large for a kernel, which a smaller batch is not.
    """
    return _Lowering(schedule, target).lowered()


class _Lowering(Generic[S]):
    def __init__(self, schedule: Schedule, target: Target[S]) -> None:
        self.schedule, self.target = schedule, target
        self.buffers = list(schedule.buffers)
        self.packs: dict[int, list[LoweredCall[S]]] = {}

    def lowered(self) -> Lowered[S]:
        for buffer in self.buffers:
            if buffer.type.dtype not in self.target.dtypes:
                raise LookupError(
                    f"{buffer.name} is {buffer.type}, which {self.target.name} does not compute"
                )
        prepare = [self._call(call) for call in self.schedule.prepare]
        run = [self._call(call) for call in self.schedule.run]
        run += [self._copy(old, new) for old, new in self.schedule.copies]
        outputs = tuple(view.buffer for view in self.schedule.outputs.values())
        return Lowered(tuple(self._with_packs(prepare)), tuple(run), tuple(self.buffers), outputs)

    def _with_packs(self, prepare: Sequence[LoweredCall[S]]) -> list[LoweredCall[S]]:
        """Weights are packed as soon as they are there, so that what they are packed from can go."""
        made = {view.buffer for call in prepare for view in call.results}
        calls = [pack for b, packs in self.packs.items() if b not in made for pack in packs]
        for call in prepare:
            calls.append(call)
            calls += [pack for view in call.results for pack in self.packs.get(view.buffer, ())]
        return calls

    def _call(self, call: Call) -> LoweredCall[S]:
        try:
            fixed = len(call.operands) > 1 and self._fixed(call.operands[1].buffer)
            plan = self.target.plan(call.node.op, call.operands, call.results, fixed)
        except TooLarge as error:
            text = f"the network is too large for {self.target.name}: {error}"
            fix = "take a smaller batch; train.accumulate makes one update of several"
            raise NetError(Diagnostic("limit", text, call.node.span, fix=fix)) from error
        return self._planned(call, plan)

    def _planned(self, call: Call, plan: Plan[S]) -> LoweredCall[S]:
        """Pack fixed weights once, others in every run."""
        if not plan.pack:
            return _lowered(call, plan.steps)
        weights = call.operands[1].buffer
        fixed = self._fixed(weights)
        t = TensorType((plan.packed // 4,))
        self.buffers.append(Buffer("fixed" if fixed else "varying", call.node.id, t, call.node.gpu))
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

    def _copy(self, old: View, new: View) -> LoweredCall[S]:
        same, buffer = Map((Arg(0),)), self.buffers[old.buffer]
        node = Node(f"update of {buffer.name}", same, (), (old.type,), gpu=buffer.gpu)
        return _lowered(Call(node, (new,), (old,)), self.target.plan(same, [new], [old], False).steps)


def _lowered(call: Call, steps: Sequence[S], packed: int | None = None) -> LoweredCall[S]:
    return LoweredCall(call.node, call.operands, call.results, tuple(steps), packed)
