"""A profile as a page of text and as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netdsl.backend.ceilings import Ceilings, Level
from netdsl.machine import load_text
from netdsl.measure.layer import place_text
from netdsl.measure.profile import By, Profile, Spent
from netdsl.report.sizes import bytes_text
from netdsl.report.table import Cells, table
from netdsl.source import counted
from netdsl.terminal import wrapped

#: rows that are shown where nobody says how many
TOP = 20


def page(p: Profile, by: By, top: int | None, width: int) -> str:
    """The longest parts, and below them the sums."""
    parts, total = p.parts(by), p.total
    shown = parts[: top or TOP]
    rows, hidden = table(_columns(shown, by, total), width)
    lines = [*wrapped(f"{p.subject.name}, {run_text(p, p.seconds)}", width, 2), "", *rows]
    below = []
    if left := parts[len(shown) :]:
        rest = time_text(sum(part.seconds for part in left))
        below.append(f"and {counted(len(left), 'more ' + by)}, {rest}: --top {len(parts)} shows all")
    below += _below(p, total)
    if (busy := load_text(p.load, p.ceilings is not None)) is not None:
        below.append(busy)
    if hidden:
        below.append(f"(not shown at this width: {', '.join(hidden)})")
    return "\n".join([*lines, "", *(line for text in below for line in wrapped(text, width, 2))])


def to_json(p: Profile, by: By, top: int | None) -> dict[str, Any]:
    """Plain data; times in seconds, bandwidths in bytes a second."""
    c, program = p.ceilings, p.subject.program
    return {
        "network": p.subject.name,
        "batch": p.subject.batch,
        "mode": "training" if p.subject.training else "inference",
        "device": program.device.label,
        "threads": getattr(program.device, "threads", None),
        "run_seconds": p.seconds,
        "steps_seconds": p.total.seconds,
        "roofline_seconds": p.total.limit,
        "ceilings": c and {
            "flops": c.peak,
            "bandwidths": [{"bytes": x.size, "read": x.read, "written": x.written} for x in c.levels],
        },
        "load": p.load,
        "by": by,
        "parts": [_part_json(part) for part in p.parts(by)[:top]],
    }  # fmt: skip


def _part_json(part: Spent) -> dict[str, Any]:
    return {
        "name": part.name,
        "layer": part.layer,
        "with": list(part.along),
        "span": part.span and part.span.to_json(),
        "kind": part.kind,
        "node": part.node,
        "steps": part.steps,
        "seconds": part.seconds,
        "flops": part.flops,
        "bytes": part.bytes,
        "roofline_seconds": part.limit,
        "reached": part.reached,
        "bound": part.bound,
    }


def _columns(parts: Sequence[Spent], by: By, total: Spent) -> list[Cells]:
    def column(heading: str, text: Callable[[Spent], str], rank: int, right: bool = True) -> Cells:
        return Cells(heading, [text(part) for part in parts], right, rank)

    cells = [
        column("kind" if by == "kind" else "layer", lambda p: p.layer if by == "step" else p.name, 10, False)
    ]
    if by == "step":
        cells.append(column("step", lambda p: p.name, 3, right=False))
        cells.append(column("with", lambda p: ", ".join(p.along), 2, right=False))
    else:
        cells.append(column("steps", lambda p: str(p.steps), 2))
    cells += [
        column("where", lambda p: place_text(p.span) if by != "kind" else "", 7, right=False),
        column("time", lambda p: time_text(p.seconds), 9),
        column("share", lambda p: percent(p.seconds / (total.seconds or 1.0)), 5),
        column("GFLOP/s", lambda p: _rate(p, p.flops), 4),
        column("GB/s", lambda p: _rate(p, p.bytes), 1),
        column("roofline", lambda p: "" if p.reached is None else percent(p.reached), 8),
        column("bound by", lambda p: p.bound or "", 6, right=False),
    ]
    return [c for c in cells if any(c.texts)]


def percent(share: float) -> str:
    """`12 %`, and below ten percent a digit more."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def _rate(part: Spent, amount: int) -> str:
    """Billions a second, of what all steps of the primitive do in their time."""
    return f"{1e-9 * amount / part.seconds_all:.3g}" if amount and part.seconds_all else ""


def run_text(p: Profile, seconds: float) -> str:
    """`batch 1, inference on 2 threads: 1.23 ms a run`."""
    device = p.subject.program.device
    threads = getattr(device, "threads", None)
    on = device.label if threads is None else counted(threads, "thread")
    return f"batch {p.subject.batch}, {p.subject.mode} on {on}: {time_text(seconds)} a run"


WINOGRAD = "; above 100 %: Winograd needs fewer operations than are counted, --exact leaves it out"


def _below(p: Profile, total: Spent) -> Sequence[str]:
    steps = f"{counted(total.steps, 'step')} in {time_text(total.seconds)}"
    if p.ceilings is None or not total.limit:
        return [steps]
    limits = {name: time_text(seconds) for name, seconds in (total.best or {}).items() if seconds}
    parts = ", ".join(f"{seconds} of {name}" for name, seconds in limits.items())
    exceeded = any("winograd" in step.name and (step.reached or 0.0) > 1.0 for step in p.steps)
    return [
        f"{steps}, at the roofline {time_text(total.limit)} ({percent(total.reached or 0.0)}): {parts}",
        _machine(p.ceilings),
        "(a run: the whole call, copies of inputs and outputs included; roofline: the least time that the "
        "operations and bytes take on this machine, in percent of the time they took; of the steps of one primitive, "
        f"it stands with the longest{WINOGRAD if exceeded else ''})",
    ]


def _machine(c: Ceilings) -> str:
    near, far = c.levels[0], c.levels[-1]
    middle = c.levels[len(c.levels) // 2]
    reads = f"{_gb(near)} GB/s within {bytes_text(near.size)}, {_gb(middle)} within {bytes_text(middle.size)}"
    return f"this machine: {1e-9 * c.peak:.0f} GFLOP/s; reads {reads}, {_gb(far)} from memory"


def _gb(level: Level) -> str:
    return f"{1e-9 * level.read:.0f}"


def time_text(seconds: float) -> str:
    """`1.23 s`, `45.6 ms`, `7.89 us`."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 0.9995 or unit == "us":
            break
    return f"{three(seconds * scale)} {unit}"


def three(value: float) -> str:
    """Three digits, none of them an exponent's."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
