"""From planned launches to what a card runs: kernels are loaded, addresses and numbers packed as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.step import Slot
from netdsl.backend.target import Spot
from netdsl.cuda.card import BoundCopy, BoundLaunch, BoundStep, Card
from netdsl.cuda.many import FEWEST, AnyWork, CopyWork, LaunchWork, Range, Table, grouped, one_launch
from netdsl.cuda.memory import CudaMemory
from netdsl.cuda.step import Copy, CudaStep
from netdsl.cuda.waits import Waits

Owners = Mapping[int, Card]
"""The cards that have the memory of buffers, by where these begin."""


def works(
    lowered: Lowered[CudaStep], where: Mapping[int, Spot], scratch: Sequence[Spot]
) -> tuple[list[AnyWork], list[AnyWork], Owners]:
    """The steps of both phases, with addresses, and whose memory these are in."""
    addresses = {b: _start(spot) for b, spot in where.items()}
    owners = {_start(spot): cast("CudaMemory", spot.memory).card for spot in (*where.values(), *scratch)}
    phases: tuple[list[AnyWork], list[AnyWork]] = ([], [])
    dead: list[Range] = []
    for k, (call, spot, freed) in enumerate(zip(lowered.calls, scratch, lowered.freed(), strict=False)):
        if k == len(lowered.prepare):
            dead = []
        dead += [(addresses[b], addresses[b] + lowered.buffers[b].type.nbytes) for b in freed]
        dead += [(_start(spot), _start(spot) + call.scratch)] if call.scratch else []
        linking = _Linking(lowered, call, addresses, _start(spot), owners)
        for step in call.steps:
            phases[k >= len(lowered.prepare)].append(replace(linking.work(step), dead=tuple(dead)))
            dead = []
    return *phases, owners


@dataclass(frozen=True)
class _Linking:
    """A call, and where its memory lies."""

    lowered: Lowered[CudaStep]
    call: LoweredCall[CudaStep]
    addresses: Mapping[int, int]
    scratch: int
    owners: Owners

    def work(self, step: CudaStep) -> AnyWork:
        """A step of the call."""
        if isinstance(step, Copy):
            return self._copy(step)
        parameters, slots = step.source.parameters, step.slots
        values = tuple(self._address(slots[p.name]) if p.to else step.values[p.name] for p in parameters)
        reads, writes = (
            tuple(self._range(s) for s in slots.values() if s.written is w) for w in (False, True)
        )
        card = self.owners[(*writes, *reads)[0][0]]
        grid = step.blocks, step.threads, step.shared
        return LaunchWork(step.title, step.source, *grid, values, reads, writes, card=card)

    def _copy(self, step: Copy) -> CopyWork:
        source, target = step.slots["source"], step.slots["target"]
        read, written = self._range(source), self._range(target)
        addresses = self._address(source), self._address(target)
        cards = self.owners[read[0]], self.owners[written[0]]
        return CopyWork(step.title, step.size, (read,), (written,), *addresses, *cards)

    def _address(self, slot: Slot) -> int:
        return self._range(slot)[0] + slot.view.offset

    def _range(self, slot: Slot) -> Range:
        """All of the buffer that a slot is in."""
        number = self.call.buffer(slot)
        if number is None:
            return self.scratch, self.scratch + self.call.scratch
        start = self.addresses[number]
        return start, start + self.lowered.buffers[number].type.nbytes


def bound(steps: Sequence[AnyWork], owners: Owners) -> list[BoundStep]:
    """What the cards run, a step for each; every kernel is compiled and loaded once."""
    return _waiting([(work, [work], work.dead) for work in steps], owners)


def merged(steps: Sequence[AnyWork], owners: Owners) -> tuple[list[BoundStep], list[CudaMemory]]:
    """What the cards run, one launch for many where it can be, and the memory of their tables."""
    tables: list[CudaMemory] = []

    def place(card: Card, table: Table) -> int:
        memory = CudaMemory(card, table.nbytes)
        card.write(memory.address, table)
        tables.append(memory)
        return memory.address

    found: list[tuple[AnyWork, Sequence[AnyWork], tuple[Range, ...]]] = []
    for group in grouped(steps):
        launches = [work for work in group.members if isinstance(work, LaunchWork)]
        if len(launches) < FEWEST:
            found += [(w, [w], () if k else group.dead) for k, w in enumerate(group.members)]
        else:
            one = one_launch(launches, partial(place, launches[0].card))
            found.append((replace(one, card=launches[0].card), launches, group.dead))
    return _waiting(found, owners), tables


def _waiting(
    steps: Sequence[tuple[AnyWork, Sequence[AnyWork], tuple[Range, ...]]],
    owners: Owners,
) -> list[BoundStep]:
    """Steps with those that they stand for, and the memory that is dead before them: each waits for what it must."""
    waits, found = Waits(), list[BoundStep]()
    for number, (work, parts, dead) in enumerate(steps):
        step = _bound(work)
        touched = [one for part in parts for one in (*part.reads, *part.writes)]
        step.after = waits.add(number, work.card, [(owners[a], a, b - a) for a, b in touched])
        step.dead = tuple((owners[a], a, b - a) for a, b in dead)
        found.append(step)
    return found


def _bound(work: AnyWork) -> BoundStep:
    if isinstance(work, CopyWork):
        return BoundCopy(work.title, work.card, work.source, work.to, work.target, work.size)
    function = work.card.load(work.source, work.shared)
    names = [p.name for p in work.source.parameters]
    arguments = work.source.pack(dict(zip(names, work.values, strict=True)))
    return BoundLaunch(work.title, work.card, function, work.blocks, work.threads, work.shared, arguments)


def _start(spot: Spot) -> int:
    return cast("CudaMemory", spot.memory).address + spot.offset
