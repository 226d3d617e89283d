"""A profile beside that of a peer, layer by layer: what a peer computes for a layer is named after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netdsl.machine import load_text
from netdsl.measure.layer import layers_in, place_text
from netdsl.measure.peers import onnx_of, onnxruntime_nodes, runner_of
from netdsl.measure.profile import Profile, Spent
from netdsl.measure.table import TOP, percent, run_text, three, time_text
from netdsl.measure.timing import alternate
from netdsl.report.table import Cells, table
from netdsl.source import counted
from netdsl.terminal import wrapped

PEER = "onnxruntime"
ROUNDS, FEWEST, MOST = 3, 5, 100
ADDED = 1.15
"""Nodes that take so many times as long as a run of them were slowed down by being measured."""


@dataclass(frozen=True)
class Beside:
    """Median seconds of whole runs in turns, and those of the peer's nodes by layer; `other` are of no layer."""

    ours: float
    theirs: float
    layers: Mapping[str, float]
    other: float


def beside(p: Profile) -> Beside:
    """Run a peer on the same network, weights and data; NetError where it is not installed, or ONNX lacks an op."""
    subject = p.subject
    threads = getattr(subject.program.device, "threads", 1)
    peer, _ = runner_of(PEER, subject, threads)
    times = alternate({"ours": subject.run, PEER: peer}, ROUNDS)
    ours, theirs = (times[name].median for name in ("ours", PEER))
    runs = max(FEWEST, min(MOST, round(1 / theirs)))
    found = onnxruntime_nodes(onnx_of(subject, PEER), subject.feeds, threads, runs)
    owners = _owners(p)
    layers, other = defaultdict[str, float](float), 0.0
    for name, seconds in found.nodes.items():
        layer = name.removeprefix("fused ").partition("/")[0]
        if layer in owners:
            layers[owners[layer]] += seconds
        elif layer in subject.ops:
            layers[layer] += seconds
        else:
            other += seconds
    return Beside(ours, theirs, layers, other)


def _owners(p: Profile) -> dict[str, str]:
    """The row in which a layer is: that of the kernel which computes it along with others."""
    owners: dict[str, str] = {}
    named = {step.node: step.layer for step in p.steps}
    for call in p.subject.program.layout.lowered.run:
        for layer in layers_in(call.node, p.subject.ops):
            owners.setdefault(layer, named[call.node.id])
    return owners


def page(p: Profile, found: Beside, top: int | None, width: int) -> str:
    """Layers by the time of whoever takes longer, and what the peer does for none of them."""
    rows = _rows(p, found)
    shown = rows[: top or TOP]
    lines, hidden = table(_columns(shown), width)
    head = f"{p.subject.name}, {run_text(p, found.ours)}, {PEER} {time_text(found.theirs)}"
    below = []
    if left := rows[len(shown) :]:
        ours, theirs = sum(x.seconds for x, _ in left), sum(t for _, t in left)
        rest = f"{time_text(ours)}, {PEER} {time_text(theirs)}"
        below.append(f"and {counted(len(left), 'more layer')}, {rest}: --top {len(rows)} shows all")
    below += _sums(p, found)
    if (busy := load_text(p.load, peak=True)) is not None:
        below.append(busy)
    below += [f"(not shown at this width: {', '.join(hidden)})"] if hidden else []
    text = [part for line in below for part in wrapped(line, width, 2)]
    return "\n".join([*wrapped(head, width, 2), "", *lines, "", *text])


def _sums(p: Profile, found: Beside) -> list[str]:
    """What all layers take, and how far to trust that."""
    theirs = sum(found.layers.values())
    lines = [f"all layers {time_text(p.total.seconds)}, {PEER} {time_text(theirs)}"]
    if found.other:
        lines[0] += f" and {time_text(found.other)} for none of them, such as changes of layout"
    if theirs + found.other > ADDED * found.theirs:
        lines.append(
            f"the profiler of {PEER} adds to the time of every node: together they take longer than a run"
        )
    return [*lines, f"(ratio: the time of {PEER} over ours; runs in turns, layers by the profilers of both)"]


def to_json(found: Beside) -> dict[str, Any]:
    """Plain data, in seconds."""
    whole = {"name": PEER, "run_seconds": found.theirs, "our_run_seconds": found.ours}
    return {**whole, "layers": dict(found.layers), "other_seconds": found.other}


def _rows(p: Profile, found: Beside) -> list[tuple[Spent, float]]:
    ours = {part.name: part for part in p.parts("layer")}
    for layer in found.layers:
        if layer not in ours:  # we compute it nowhere: a view, or folded into weights
            ours[layer] = Spent.nothing(layer, p.subject.ops[layer].span)
    rows = [(part, found.layers.get(name, 0.0)) for name, part in ours.items()]
    return sorted(rows, key=lambda row: -max(row[0].seconds, row[1]))


def _columns(rows: list[tuple[Spent, float]]) -> list[Cells]:
    ratios = [three(theirs / part.seconds) if part.seconds and theirs else "" for part, theirs in rows]
    times = [time_text(part.seconds) if part.seconds else "" for part, _ in rows]
    reached = ["" if part.reached is None else percent(part.reached) for part, _ in rows]
    return [
        Cells("layer", [part.name for part, _ in rows], False, 10),
        Cells("where", [place_text(part.span) for part, _ in rows], False, 4),
        Cells("netdsl", times, True, 9),
        Cells(PEER, [time_text(theirs) if theirs else "" for _, theirs in rows], True, 8),
        Cells("ratio", ratios, True, 7),
        Cells("roofline", reached, True, 5),
    ]
