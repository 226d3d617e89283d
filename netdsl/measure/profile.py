"""Where the time of a run goes: its steps beside what the machine could do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from netdsl import machine
from netdsl.backend.ceilings import Ceilings
from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.target import Times
from netdsl.measure.demand import Bound, Demand, demands
from netdsl.measure.layer import Layer, kind_of, layer_of
from netdsl.measure.subject import Subject
from netdsl.source import Span

T = TypeVar("T")
By = Literal["step", "layer", "kind"]
#: seconds of measuring, and how many runs that are at least and at most
SECONDS, FEWEST, MOST = 1.0, 5, 200


@dataclass(frozen=True)
class Spent:
    """A step, or several: seconds of a run, operations, bytes moved, and the seconds that these take at best.

    What a primitive must do stands with the longest of its steps: `seconds_all` are those of all of them.  `best` is
    None where the device does not say what it can do at most.
    """

    name: str
    layer: str
    along: tuple[str, ...]
    span: Span | None
    kind: str
    node: str
    gpu: int | None
    steps: int
    seconds: float
    seconds_all: float
    flops: int
    bytes: int
    best: dict[Bound, float] | None

    @staticmethod
    def nothing(layer: str, span: Span | None) -> Spent:
        """A layer that takes no step."""
        return Spent(layer, layer, (), span, "", "", None, 0, 0.0, 0.0, 0, 0, None)

    @property
    def limit(self) -> float | None:
        """The seconds that it takes at least."""
        return None if self.best is None else sum(self.best.values())

    @property
    def bound(self) -> Bound | None:
        """What it waits for at best; None for what need not be done at all, or where nobody knows."""
        if not self.best or not any(self.best.values()):
            return None
        return max(self.best, key=lambda b: (self.best or {})[b])

    @property
    def reached(self) -> float | None:
        """The share of the roofline that it reaches."""
        if self.bound is None or self.limit is None or not self.seconds_all:
            return None
        return self.limit / self.seconds_all


@dataclass(frozen=True)
class Profile:
    """Seconds of a run, and its steps in order; `times` are those of the runs that were measured.

    `load` is that of the machine before.
    """

    subject: Subject
    seconds: float
    steps: tuple[Spent, ...]
    times: tuple[Times, ...]
    ceilings: Ceilings | None
    load: float | None = None

    def parts(self, by: By) -> list[Spent]:
        """The steps, or sums of them by layer or kind, the longest first."""
        return sorted(self._grouped(by), key=lambda p: -p.seconds)

    def _grouped(self, by: By) -> Iterable[Spent]:
        if by == "step":
            return self.steps
        groups: dict[str, list[Spent]] = {}
        for part in self.steps:
            groups.setdefault(part.layer if by == "layer" else part.kind, []).append(part)
        return [_sum(name, parts) for name, parts in groups.items()]

    @property
    def total(self) -> Spent:
        """All steps together."""
        return _sum("", self.steps)


def profile(subject: Subject) -> Profile:
    """Measure a run for about a second, and what the device could do at best."""
    load, seconds = machine.load(), _run_time(subject)
    ceilings = subject.program.device.ceilings()
    runs = max(FEWEST, min(MOST, round(SECONDS / seconds)))
    times = subject.program.timeline(subject.feeds, runs)
    medians = [statistics.median(end - start for start, end in step) for step in zip(*times, strict=True)]
    return Profile(subject, seconds, tuple(_parts(subject, medians, ceilings)), tuple(times), ceilings, load)


def _run_time(subject: Subject) -> float:
    """The median of runs, after some that do not count."""
    subject.run()
    times = list[float]()
    end = time.perf_counter() + SECONDS / 2
    while len(times) < FEWEST or time.perf_counter() < end:
        start = time.perf_counter()
        subject.run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _parts(subject: Subject, seconds: Sequence[float], ceilings: Ceilings | None) -> Iterable[Spent]:
    layout, at = subject.program.layout, 0
    layers: dict[str, Layer] = {}
    for call, demand in zip(layout.lowered.run, demands(layout), strict=True):
        node, own = call.node, seconds[at : at + len(call.steps)]
        layer = layers.setdefault(node.id, layer_of(node, subject.ops))
        at += len(own)
        kind = kind_of(node, _updated(layout.lowered, call))
        yield from _steps(call, layer, kind, demand, own, ceilings)


def _steps(
    call: LoweredCall[Any],
    layer: Layer,
    kind: str,
    demand: Demand,
    seconds: Sequence[float],
    ceilings: Ceilings | None,
) -> Iterable[Spent]:
    """The steps of a call: what it must do is done by the longest one, the others help."""
    longest = max(range(len(seconds)), key=seconds.__getitem__, default=0)
    for k, step in enumerate(call.steps):
        does, total = (demand, sum(seconds)) if k == longest else (Demand(0, 0, ()), 0.0)
        best = None if ceilings is None else _best(does, ceilings)
        where = layer.name, layer.along, layer.span, kind, call.node.id, call.node.gpu
        yield Spent(step.title, *where, 1, seconds[k], total, does.flops, does.bytes, best)


def _best(demand: Demand, ceilings: Ceilings) -> dict[Bound, float]:
    """The time of what takes longer at best; the other is done beside it."""
    limits = demand.limits(ceilings)
    longer: Bound = max(limits, key=lambda b: limits[b])
    return {longer: limits[longer]}


def _updated(lowered: Lowered[Any], call: LoweredCall[Any]) -> list[str]:
    """The weights, statistics and slots that a call gives new values."""
    written = [lowered.buffers[view.buffer] for view in call.results]
    return [buffer.name for buffer in written if buffer.kind in ("param", "state")]


def _sum(name: str, parts: Sequence[Spent]) -> Spent:
    best: dict[Bound, float] | None = None
    for part in parts:
        for bound, seconds in (part.best or {}).items():
            best = best or {}
            best[bound] = best.get(bound, 0.0) + seconds

    def common(what: Callable[[Spent], T], other: T) -> T:
        """What all parts have in common."""
        first = what(parts[0])
        return first if all(what(p) == first for p in parts) else other

    return Spent(
        name,
        common(lambda p: p.layer, ""),
        common(lambda p: p.along, ()),
        common(lambda p: p.span, None),
        common(lambda p: p.kind, ""),
        common(lambda p: p.node, ""),
        common(lambda p: p.gpu, None),
        len(parts),
        sum(p.seconds for p in parts),
        sum(p.seconds for p in parts),
        sum(p.flops for p in parts),
        sum(p.bytes for p in parts),
        best,
    )
