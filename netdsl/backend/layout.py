"""Where the buffers of a program lie, and how much memory that takes: known before any memory is asked for."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from netdsl.backend.lower import Lowered, lower
from netdsl.backend.target import Target
from netdsl.ir import Graph
from netdsl.schedule import Lifetime, Schedule, aligned, check_plan, make_schedule, plan_memory


@dataclass(frozen=True)
class Footprint:
    """Bytes of memory that a program holds.

    `weights` are params and states (those of the optimiser too), `prepared` what is computed from weights alone and
    kept (folded and packed kernels, constants), `feeds` the inputs, `arena` where all other values live at their
    times, `results` the copies of the outputs that a run returns.
    """

    weights: int
    prepared: int
    feeds: int
    arena: int
    results: int

    @property
    def total(self) -> int:
        """All of it: the peak, since nothing is allocated during a run but the results."""
        return self.held + self.results

    @property
    def held(self) -> int:
        """What the device holds of it: the results are arrays of the caller."""
        return self.weights + self.prepared + self.feeds + self.arena

    @property
    def parts(self) -> dict[str, int]:
        """The bytes by what they are for, in words."""
        return {
            "weights and states": self.weights,
            "prepared weights": self.prepared,
            "inputs": self.feeds,
            "activations": self.arena,
            "results": self.results,
        }

    def __add__(self, other: Footprint) -> Footprint:
        """The bytes of two devices."""
        return Footprint(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Arena:
    """A block of `size` bytes of a device: the first `kept` hold what runs find prepared, where no run writes."""

    kept: int
    size: int


@dataclass(frozen=True)
class Layout:
    """The calls of a program, and the place of each buffer that is no leaf in the arena of its device.

    `arenas` are those of the device itself (None) and of other GPUs by number.  `offsets` are by buffer, `scratch`
    has those of the scratch of each call, those that prepare first.
    """

    schedule: Schedule
    lowered: Lowered[Any]
    arenas: Mapping[int | None, Arena]
    offsets: dict[int, int]
    scratch: tuple[int, ...]

    def footprint(self) -> Footprint:
        """The bytes of each kind, of all devices together."""
        return functools.reduce(operator.add, map(self.footprint_on, self.arenas))

    def footprint_on(self, gpu: int | None) -> Footprint:
        """The bytes of each kind on the device itself or on another GPU."""
        size = dict.fromkeys(("input", "param", "state", "const"), 0)
        buffers, arena = self.schedule.buffers, self.arenas[gpu]
        for buffer in (buffers[b] for b in self.schedule.leaves.values()):
            size[buffer.kind] += buffer.type.nbytes if buffer.gpu == gpu else 0
        outputs = self.schedule.outputs.values()
        results = sum(view.type.nbytes for view in outputs if buffers[view.buffer].gpu == gpu)
        weights, prepared = size["param"] + size["state"], size["const"] + arena.kept
        return Footprint(weights, prepared, size["input"], arena.size - arena.kept, results)

    def allocations(self, gpu: int | None, shared: Collection[str] = (), lent: bool = False) -> list[int]:
        """The bytes of each allocation on the device itself or on another GPU: the arena, then the leaves.

        Leaves of the names in `shared` are there already; `lent` says that the arena is.
        """
        buffers = {name: self.schedule.buffers[b] for name, b in self.schedule.leaves.items()}
        own = [b.type.nbytes for name, b in buffers.items() if b.gpu == gpu and name not in shared]
        return own if lent else [self.arenas[gpu].size, *own]


def lay_out(graph: Graph, target: Target[Any]) -> Layout:
    """Schedule a graph of primitives and plan it for a target; raises LookupError for a primitive without a kernel.

    Preparation works where runs do: it is over before a run begins.
    """
    schedule = make_schedule(graph, target.accepts)
    lowered = lower(schedule, target)
    arenas: dict[int | None, Arena] = {}
    offsets: dict[int, int] = {}
    scratch = [0] * len(lowered.calls)
    for gpu in lowered.gpus:
        arenas[gpu] = _arena(lowered, gpu, target.alignment, offsets, scratch)
    return Layout(schedule, lowered, arenas, offsets, tuple(scratch))


def _arena(
    lowered: Lowered[Any], gpu: int | None, alignment: int, offsets: dict[int, int], scratch: list[int]
) -> Arena:
    """Place the buffers and the scratch of the calls of one device: `offsets` and `scratch` get their places."""
    begin, kept = len(lowered.prepare), 0
    spans = {b: span for b, span in lowered.spans().items() if lowered.buffers[b].gpu == gpu}
    for b, (first, last) in spans.items():
        if first < begin <= last:
            offsets[b] = kept
            kept += aligned(lowered.buffers[b].type.nbytes, alignment)
    arena = [b for b in spans if b not in offsets]
    calls = [k for k, call in enumerate(lowered.calls) if call.node.gpu == gpu]
    lives = [Lifetime(lowered.buffers[b].type.nbytes, *spans[b]) for b in arena]
    lives += [Lifetime(lowered.calls[k].scratch, k, k) for k in calls]
    plan = plan_memory(lives, alignment)
    check_plan(lives, plan, alignment)
    places = [kept + offset for offset in plan.offsets]
    offsets.update(zip(arena, places, strict=False))
    for k, place in zip(calls, places[len(arena) :], strict=True):
        scratch[k] = place
    return Arena(kept, kept + plan.size)
