"""Timing two programs against each other, and printing rows that scripts can read."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

TURN_RUNS, TURN_SECONDS = 8, 0.2
SETTLE_RUNS, SETTLE_SECONDS = 2, 0.05


@dataclass
class Row:
    """One network: our median and those of the peers in ms; `ratio` is the best peer over ours."""

    name: str
    batch: int
    threads: int
    ours_ms: float
    peers: dict[str, float] = field(default_factory=dict)
    ratio: float | None = None


def alternate(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median ms of each, in turns of 8 runs or 0.2 s, of which the first 2 runs or 0.05 s do not count.

    Turns rather than single runs: the idle threads of one contender spin for a while after its run and would
    be measured with the other.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name] += _turn(run)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def _turn(run: Callable[[], object]) -> list[float]:
    began, runs, times = time.perf_counter(), 0, []
    while runs < TURN_RUNS or time.perf_counter() < began + TURN_SECONDS:
        start = time.perf_counter()
        run()
        end = time.perf_counter()
        runs += 1
        if runs > SETTLE_RUNS and start >= began + SETTLE_SECONDS:
            times.append(end - start)
    return times


def arguments(description: str) -> argparse.Namespace:
    """`--only NAME`, `--threads N`, `--rounds N`, `--json`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", help="one network by name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def row(name: str, batch: int, threads: int, medians: dict[str, float]) -> Row:
    """A row from medians, ours under the name "ours"."""
    peers = {peer: round(ms, 4) for peer, ms in medians.items() if peer != "ours"}
    ratio = round(min(peers.values()) / medians["ours"], 3) if peers else None
    return Row(name, batch, threads, round(medians["ours"], 4), peers, ratio)


def show(rows: list[Row], as_json: bool) -> None:
    """Print rows as JSON or as a table."""
    if as_json:
        print(json.dumps([asdict(r) for r in rows], indent=2))
        return
    for r in rows:
        peers = "  ".join(f"{name} {ms:.3f} ms" for name, ms in r.peers.items())
        print(f"{r.name:<16} batch {r.batch:<4} ours {r.ours_ms:.3f} ms  {peers}  ratio {r.ratio}")
