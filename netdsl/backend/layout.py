"""Where the buffers of a program lie, and how much memory that takes: known before any memory is asked for."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Layout:
    """The calls of a program, and the place of each buffer that is no leaf in one block of `size` bytes.

    `offsets` are by buffer; the first `kept` bytes hold those that runs find prepared, and no run writes there.
    `scratch` are the offsets of the scratch of each call, those that prepare first.
    """

    schedule: Schedule
    lowered: Lowered[Any]
    offsets: dict[int, int]
    scratch: tuple[int, ...]
    kept: int
    size: int

    def footprint(self) -> Footprint:
        """The bytes of each kind."""
        size = dict.fromkeys(("input", "param", "state", "const"), 0)
        for b in self.schedule.leaves.values():
            buffer = self.schedule.buffers[b]
            size[buffer.kind] += buffer.type.nbytes
        results = sum(view.type.nbytes for view in self.schedule.outputs.values())
        weights, prepared = size["param"] + size["state"], size["const"] + self.kept
        return Footprint(weights, prepared, size["input"], self.size - self.kept, results)


def lay_out(graph: Graph, target: Target[Any]) -> Layout:
    """Schedule a graph of primitives and plan it for a target; raises LookupError for a primitive without a kernel.

    Preparation works where runs do: it is over before a run begins.
    """
    schedule = make_schedule(graph, target.accepts)
    lowered = lower(schedule, target)
    spans = lowered.spans()
    begin = len(lowered.prepare)
    offsets, kept = {}, 0
    for b, (first, last) in spans.items():
        if first < begin <= last:
            offsets[b] = kept
            kept += aligned(lowered.buffers[b].type.nbytes, target.alignment)
    arena = [b for b in spans if b not in offsets]
    lives = [Lifetime(lowered.buffers[b].type.nbytes, *spans[b]) for b in arena]
    lives += [Lifetime(call.scratch, k, k) for k, call in enumerate(lowered.calls)]
    plan = plan_memory(lives, target.alignment)
    check_plan(lives, plan, target.alignment)
    places = [kept + offset for offset in plan.offsets]
    offsets.update(zip(arena, places, strict=False))
    return Layout(schedule, lowered, offsets, tuple(places[len(arena) :]), kept, kept + plan.size)
