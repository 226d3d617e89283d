"""A profile as a Chrome trace, for chrome://tracing and https://ui.perfetto.dev.

Trace Event Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.backend.target import Times
from netdsl.measure.layer import place_text
from netdsl.measure.profile import Profile, Spent

#: runs that are drawn, one behind the other
RUNS = 3
#: what the nodes of a training step are called, by what they are for
_PHASES = {"grad/": "backward", "check/": "update", "update": "update"}

Event = dict[str, Any]


def to_trace(p: Profile) -> dict[str, Any]:
    """Slices of runs, and in them of blocks, layers and steps, on a track for each GPU or for the device itself."""
    events = list(_tracks(p))
    begin = 0.0
    for number, times in enumerate(p.times[-RUNS:], 1):
        shift = begin - times[0][0] if times else begin
        moved = [(a + shift, b + shift) for a, b in times]
        for gpu in _gpus(p):
            chosen = [k for k, step in enumerate(p.steps) if step.gpu == gpu]
            slices = [_Slice((f"run {number}", *_path(p, k)), *moved[k], p.steps[k]) for k in chosen]
            events += _nested(slices, _track(gpu))
        events += _counters(p.steps, moved)
        begin = max((b for _, b in moved), default=begin)
    about = {
        "network": p.subject.name,
        "batch": p.subject.batch,
        "mode": p.subject.mode,
        "device": _device(p),
    }
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


@dataclass(frozen=True)
class _Slice:
    """A step of a run, with the names of all that it is in, from the run to the layer."""

    path: tuple[str, ...]
    start: float
    end: float
    step: Spent


def _path(p: Profile, number: int) -> tuple[str, ...]:
    """The phase of a training, the blocks and the layer."""
    step = p.steps[number]
    parts = tuple(step.layer.split("."))
    if not p.subject.training:
        return parts
    return next((phase for start, phase in _PHASES.items() if step.node.startswith(start)), "forward"), *parts


def _nested(slices: Sequence[_Slice], track: int, depth: int = 0) -> Iterator[Event]:
    """Events of slices that follow each other: those with the same name at a depth are in one."""
    at = 0
    while at < len(slices):
        first, end = slices[at], at + 1
        if depth == len(first.path):
            yield _event(
                first.step.name, first.step.kind, first.start, first.end, track, _details(first.step)
            )
        else:
            inside = first.path[: depth + 1]
            while end < len(slices) and slices[end].path[: depth + 1] == inside:
                end += 1
            kind = "run" if depth == 0 else "layer" if len(inside) == len(first.path) else "block"
            yield _event(first.path[depth], kind, first.start, slices[end - 1].end, track, {})
            yield from _nested(slices[at:end], track, depth + 1)
        at = end


def _event(name: str, kind: str, start: float, end: float, track: int, details: Mapping[str, Any]) -> Event:
    """A complete event: times are in microseconds."""
    times = {"ts": 1e6 * start, "dur": 1e6 * (end - start)}
    return {"name": name, "cat": kind, "ph": "X", "pid": 1, "tid": track, **times, "args": dict(details)}


def _details(step: Spent) -> dict[str, Any]:
    found = {
        "layer": step.layer,
        "with": ", ".join(step.along),
        "where": place_text(step.span),
        "node": step.node,
        "flops": step.flops,
        "bytes": step.bytes,
        "bound by": step.bound,
        "of the roofline": None if step.reached is None else round(step.reached, 3),
    }
    return {name: value for name, value in found.items() if value}


def _counters(steps: Sequence[Spent], times: Times) -> Iterator[Event]:
    """The rate of operations, where it changes."""
    for step, (start, end) in zip(steps, times, strict=True):
        rate = 1e-9 * step.flops / (end - start) if end > start else 0.0
        yield {"name": "GFLOP/s", "ph": "C", "pid": 1, "ts": 1e6 * start, "args": {"GFLOP/s": round(rate, 3)}}


def _tracks(p: Profile) -> Iterator[Event]:
    """The names of the tracks."""
    yield _name("process_name", 0, f"{p.subject.name}, {p.subject.mode}")
    for gpu in _gpus(p):
        yield _name("thread_name", _track(gpu), _device(p) if gpu is None else f"GPU {gpu}")


def _name(kind: str, track: int, name: str) -> Event:
    return {"name": kind, "ph": "M", "pid": 1, "tid": track, "args": {"name": name}}


def _gpus(p: Profile) -> list[int | None]:
    """Where steps run: on the device itself, which is None, and on other GPUs."""
    return sorted({step.gpu for step in p.steps}, key=lambda gpu: -1 if gpu is None else gpu)


def _track(gpu: int | None) -> int:
    return 1 if gpu is None else gpu + 2


def _device(p: Profile) -> str:
    return str(p.subject.program.device.place)
