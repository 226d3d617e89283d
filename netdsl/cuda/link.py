"""From planned launches to what a card runs: kernels are loaded, addresses and numbers packed as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.step import PACKED, SCRATCH
from netdsl.backend.target import Spot
from netdsl.cuda.card import BoundLaunch, Card
from netdsl.cuda.memory import CudaMemory
from netdsl.cuda.step import Launch


def bind(
    card: Card, lowered: Lowered[Launch], where: Mapping[int, Spot], scratch: Sequence[Spot]
) -> tuple[list[BoundLaunch], list[BoundLaunch]]:
    """What prepares, and what a run is; each kernel is compiled and loaded once."""
    addresses = {b: _start(spot) for b, spot in where.items()}
    phases: tuple[list[BoundLaunch], list[BoundLaunch]] = ([], [])
    dead: list[tuple[int, int]] = []
    for k, (call, spot, freed) in enumerate(zip(lowered.calls, scratch, lowered.freed(), strict=False)):
        if k == len(lowered.prepare):
            dead = []
        dead += [(addresses[b], lowered.buffers[b].type.nbytes) for b in freed]
        dead += [(_start(spot), call.scratch)] if call.scratch else []
        for step in call.steps:
            bound = _bound(card, call, step, addresses, _start(spot))
            phases[k >= len(lowered.prepare)].append(replace(bound, dead=tuple(dead)))
            dead = []
    return phases


def _bound(
    card: Card, call: LoweredCall[Launch], step: Launch, addresses: Mapping[int, int], scratch: int
) -> BoundLaunch:
    def address(name: str) -> int:
        view = step.slots[name].view
        if view.buffer == SCRATCH:
            return scratch + view.offset
        number = call.packed if view.buffer == PACKED and call.packed is not None else view.buffer
        return addresses[number] + view.offset

    values = {p.name: address(p.name) if p.to else step.values[p.name] for p in step.source.parameters}
    function = card.load(step.source, step.shared)
    return BoundLaunch(step.title, function, step.blocks, step.threads, step.shared, step.source.pack(values))


def _start(spot: Spot) -> int:
    return cast("CudaMemory", spot.memory).address + spot.offset
