"""A network's time beside that of peers: the same network, weights, data and threads, in turns in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdsl import machine
from netdsl.arrays import Array
from netdsl.measure.demand import limit
from netdsl.measure.peers import Results, Runner, runner_of
from netdsl.measure.subject import Subject
from netdsl.measure.table import percent, three, time_text
from netdsl.measure.timing import Timing, alternate
from netdsl.report.table import Cells, table
from netdsl.source import NetError, counted
from netdsl.terminal import wrapped

OURS = "netdsl"
#: the largest difference of two outputs, as a share of the largest value, that is none: float32 sums differ in order
AGREES = 1e-3


@dataclass(frozen=True)
class Row:
    """The times of everybody for a batch and a number of threads, and how far a peer's outputs are from ours.

    `limit` are the seconds that this machine takes at best, None where the device does not say.
    """

    batch: int
    threads: int | None
    times: Mapping[str, Timing]
    errors: Mapping[str, float]
    limit: float | None = None

    def ratio(self, peer: str) -> float:
        """A peer's median over ours: above 1 we are faster."""
        return self.times[peer].median / self.times[OURS].median

    @property
    def best(self) -> str | None:
        """The fastest peer."""
        peers = [name for name in self.times if name != OURS]
        return min(peers, key=lambda name: self.times[name].median) if peers else None


@dataclass(frozen=True)
class Bench:
    """Rows of one network, what is said of peers that are not in them, and the load of the machine before.

    `device` is its name for people, where that is not the processor.
    """

    name: str
    mode: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    load: float | None = None
    device: str | None = None


def bench(subjects: Iterable[Subject], peers: Sequence[str], rounds: int, asked: bool) -> Bench:
    """Measure subjects, of one network, one after the other, each in turns with its peers.

    Peers that are not installed, or cannot run the network, are left out and named in the notes; where they were
    `asked` for, they raise NetError.
    """
    rows, notes, name, mode, device = list[Row](), dict[str, None](), "", "", None
    load = machine.load()
    for subject in subjects:
        name, mode = subject.name, subject.mode
        threads = getattr(subject.program.device, "threads", None)
        device = subject.program.device.label if threads is None else None
        found, said = _runners(subject, peers, threads or 1, asked)
        notes |= dict.fromkeys(said)
        ours = list(subject.run().values())
        errors = {peer: _error(ours, results) for peer, (_, results) in found.items()}
        times = alternate({OURS: subject.run, **{peer: run for peer, (run, _) in found.items()}}, rounds)
        rows.append(Row(subject.batch, threads, times, errors, _limit(subject)))
    return Bench(name, mode, tuple(rows), tuple(notes), load, device)


def _limit(subject: Subject) -> float | None:
    ceilings = subject.program.device.ceilings()
    return None if ceilings is None else limit(subject.program.layout, ceilings)


def _error(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """The largest difference of outputs, as a share of the largest value of an output."""
    found = [0.0]
    for a, b in zip(ours, theirs, strict=True):
        if a.size:
            scale = max(float(np.abs(a).max()), 1e-30)
            found.append(float(np.abs(a.astype(np.float64) - b).max()) / scale)
    return max(found)


def _runners(
    subject: Subject, names: Sequence[str], threads: int, asked: bool
) -> tuple[dict[str, tuple[Runner, Results]], list[str]]:
    """The peers, ready to run, with what they compute, and what is said of those that are left out."""
    found, notes = dict[str, tuple[Runner, Results]](), list[str]()
    for name in names:
        try:
            found[name] = runner_of(name, subject, threads)
        except NetError as error:
            if asked:
                raise
            notes.append(f"not compared with {name}: {error.diagnostics[0].message}{_fix(error)}")
    return found, notes


def _fix(error: NetError) -> str:
    fix = error.diagnostics[0].fix
    return "" if fix is None else f" ({fix})"


def page(found: Bench, width: int) -> str:
    """A line for each program, batch and number of threads."""
    several = any(len(row.times) > 1 for row in found.rows)
    lines = [(row, name) for row in found.rows for name in row.times]
    shown, hidden = table(_columns(lines, several), width)
    below = [*_explained(found, several), *_doubts(found.rows), *found.notes]
    if (busy := machine.load_text(found.load, _with_roofline(found))) is not None:
        below.append(busy)
    below += [f"(not shown at this width: {', '.join(hidden)})"] if hidden else []
    on = "" if found.device is None else f" on {found.device}"
    head = wrapped(f"{found.name}, {found.mode}{on}", width)
    return "\n".join([*head, "", *shown, "", *(line for text in below for line in wrapped(text, width, 2))])


def _columns(lines: Sequence[tuple[Row, str]], several: bool) -> list[Cells]:
    """Numbers of a row stand once, with our own time; what tells rows from each other stays on a narrow page."""
    counts = {row.threads for row, _ in lines}

    def column(heading: str, text: Callable[[Row, str], str], rank: int, right: bool = True) -> Cells:
        return Cells(heading, [text(row, name) for row, name in lines], right, rank)

    def reached(row: Row) -> str:
        return "" if row.limit is None else percent(row.limit / row.times[OURS].median)

    found = [
        column("batch", lambda row, name: str(row.batch) if name == OURS else "", 10),
        column(
            "threads",
            lambda row, name: str(row.threads or "") if name == OURS else "",
            9 if len(counts) > 1 else 5,
        ),
        Cells("program", [name if several else "" for _, name in lines], False, 9),
        column("median", lambda row, name: time_text(row.times[name].median), 10),
        column("95 %", lambda row, name: time_text(row.times[name].p95), 7),
        column("ratio", lambda row, name: "" if name == OURS else three(row.ratio(name)), 8),
        column("roofline", lambda row, name: reached(row) if name == OURS else "", 6),
    ]
    return [c for c in found if any(c.texts)]


def _explained(found: Bench, several: bool) -> list[str]:
    runs = [len(t.seconds) for row in found.rows for t in row.times.values()]
    count = counted(runs[0], "run") if min(runs) == max(runs) else f"{min(runs):,} to {max(runs):,} runs"
    turns = " each, in turns" if several else ""
    ratio = f"; ratio: a program's median over that of {OURS}" if several else ""
    least = "; roofline: the least time of this machine, in percent of ours" if _with_roofline(found) else ""
    return [f"(median and 95th percentile of {count}{turns}{ratio}{least})"]


def _with_roofline(found: Bench) -> bool:
    return any(row.limit is not None for row in found.rows)


def _doubts(rows: Sequence[Row]) -> list[str]:
    """What must be said where a peer computes something else."""
    worst: dict[str, float] = {}
    for row in rows:
        for name, error in row.errors.items():
            worst[name] = max(worst.get(name, 0.0), error)
    return [
        f"{name} gives other outputs than we do: they differ by {error:.2g} of the largest value"
        for name, error in worst.items()
        if not error <= AGREES
    ]


def to_json(found: Bench) -> dict[str, Any]:
    """Plain data; times in seconds."""
    return {
        "network": found.name,
        "mode": found.mode,
        "device": found.device or "cpu",
        "load": found.load,
        "rows": [
            {
                "batch": row.batch,
                "threads": row.threads,
                "times": {
                    name: {"median": t.median, "p95": t.p95, "runs": len(t.seconds)}
                    for name, t in row.times.items()
                },
                "errors": row.errors,
                "best": row.best,
                "ratio": row.ratio(row.best) if row.best else None,
                "roofline_seconds": row.limit,
            }
            for row in found.rows
        ],
        "notes": list(found.notes),
    }
