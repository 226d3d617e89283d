"""Rows of benchmarks, printed so that scripts can read them; `netdsl bench` measures any network."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from netdsl.measure.timing import Timing


@dataclass
class Row:
    """One network: our median and those of the peers in ms; `ratio` is the best peer over ours."""

    name: str
    batch: int
    threads: int
    ours_ms: float
    peers: dict[str, float] = field(default_factory=dict)
    ratio: float | None = None


def parser(description: str) -> argparse.ArgumentParser:
    """`--only NAME`, `--threads N`, `--rounds N`, `--json`."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--only", help="one network by name")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--rounds", type=int, default=8)
    found.add_argument("--json", action="store_true")
    return found


def arguments(description: str) -> argparse.Namespace:
    """What `parser` takes, as it was given."""
    return parser(description).parse_args()


def row(name: str, batch: int, threads: int, times: Mapping[str, Timing]) -> Row:
    """A row from what `netdsl.measure.timing.alternate` gives, ours under the name "ours"."""
    medians = {who: 1e3 * timing.median for who, timing in times.items()}
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
