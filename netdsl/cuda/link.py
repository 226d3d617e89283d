"""From planned launches to what a card runs: kernels are loaded, addresses and numbers packed as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.step import Slot
from netdsl.backend.target import Spot
from netdsl.cuda.card import BoundLaunch, Card
from netdsl.cuda.many import FEWEST, Range, Table, Work, grouped, one_launch
from netdsl.cuda.memory import CudaMemory
from netdsl.cuda.step import Launch


def works(
    lowered: Lowered[Launch], where: Mapping[int, Spot], scratch: Sequence[Spot]
) -> tuple[list[Work], list[Work]]:
    """The launches of both phases, with addresses."""
    addresses = {b: _start(spot) for b, spot in where.items()}
    phases: tuple[list[Work], list[Work]] = ([], [])
    dead: list[Range] = []
    for k, (call, spot, freed) in enumerate(zip(lowered.calls, scratch, lowered.freed(), strict=False)):
        if k == len(lowered.prepare):
            dead = []
        dead += [(addresses[b], addresses[b] + lowered.buffers[b].type.nbytes) for b in freed]
        dead += [(_start(spot), _start(spot) + call.scratch)] if call.scratch else []
        linking = _Linking(lowered, call, addresses, _start(spot))
        for step in call.steps:
            phases[k >= len(lowered.prepare)].append(replace(linking.work(step), dead=tuple(dead)))
            dead = []
    return phases


@dataclass(frozen=True)
class _Linking:
    """A call, and where its memory lies."""

    lowered: Lowered[Launch]
    call: LoweredCall[Launch]
    addresses: Mapping[int, int]
    scratch: int

    def work(self, step: Launch) -> Work:
        """A launch of the call."""
        parameters, slots = step.source.parameters, step.slots
        values = tuple(self._address(slots[p.name]) if p.to else step.values[p.name] for p in parameters)
        reads, writes = (
            tuple(self._range(s) for s in slots.values() if s.written is w) for w in (False, True)
        )
        return Work(step.title, step.source, step.blocks, step.threads, step.shared, values, reads, writes)

    def _address(self, slot: Slot) -> int:
        return self._range(slot)[0] + slot.view.offset

    def _range(self, slot: Slot) -> Range:
        """All of the buffer that a slot is in."""
        number = self.call.buffer(slot)
        if number is None:
            return self.scratch, self.scratch + self.call.scratch
        start = self.addresses[number]
        return start, start + self.lowered.buffers[number].type.nbytes


def bound(card: Card, launches: Sequence[Work]) -> list[BoundLaunch]:
    """What the card runs, a launch for each; every kernel is compiled and loaded once."""
    return [_bound(card, work, work.dead) for work in launches]


def merged(card: Card, launches: Sequence[Work]) -> tuple[list[BoundLaunch], list[CudaMemory]]:
    """What the card runs, one launch for many where it can be, and the memory of their tables."""
    tables: list[CudaMemory] = []

    def place(table: Table) -> int:
        memory = CudaMemory(card, table.nbytes)
        card.write(memory.address, table)
        tables.append(memory)
        return memory.address

    found = []
    for group in grouped(launches):
        few = len(group.members) < FEWEST
        dead = group.dead
        for work in group.members if few else [one_launch(group.members, place)]:
            found.append(_bound(card, work, dead))
            dead = ()
    return found, tables


def _bound(card: Card, work: Work, dead: Sequence[Range]) -> BoundLaunch:
    function = card.load(work.source, work.shared)
    names = [p.name for p in work.source.parameters]
    arguments = work.source.pack(dict(zip(names, work.values, strict=True)))
    sizes = tuple((start, end - start) for start, end in dead)
    return BoundLaunch(work.title, function, work.blocks, work.threads, work.shared, arguments, sizes)


def _start(spot: Spot) -> int:
    return cast("CudaMemory", spot.memory).address + spot.offset
