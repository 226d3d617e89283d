"""A roofline on paper: where the time of a network would go on a GPU, from its compiled kernels; nothing is timed.

Every launch of the plan takes the longest of what it computes, what it moves and what it issues, and 0.6 us more.
What is counted: bytes, multiply-adds, tiles, blocks; what the assembler says: registers, shared memory, and so the
blocks that a multiprocessor holds, loads of a thread and instructions.  What is a model: the share of its peak that a
tile reaches (the numbers of `netdsl/cuda/contract/tiles.py`), 90 % of the bandwidth at most, 0.5 us of latency.
Caches are left out: every tensor that a launch touches is read or written once.

    NETDSL_CUDA=emulated python benchmarks/roofline.py examples/resnet.net --net resnet50 --card h200 --batch 64
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import netdsl
from netdsl.backend.layout import lay_out
from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.registry import find_target
from netdsl.backend.step import SCRATCH
from netdsl.cost import primitive_flops, primitive_macs
from netdsl.cuda.codegen.nest import WARP
from netdsl.cuda.contract.tiles import START, TENSOR, TILES, WAITING, cut
from netdsl.cuda.machine_code import MachineCode, machine_code
from netdsl.cuda.step import Launch
from netdsl.primitives import Contract
from netdsl.primitives.precision import PRECISIONS
from netdsl.schedule import View
from netdsl.train.memory_prediction import program_graph

LAUNCH = 0.6e-6
"""Seconds of a node of a CUDA graph that is replayed."""
LATENCY = 0.5e-6
"""Seconds from asking for memory to having it, while others ask too."""
REACHED = 0.9
"""Of the bandwidth, by the best of copies."""
ISSUED = 4
"""Instructions of warps that a multiprocessor starts in a cycle."""


@dataclass(frozen=True)
class Card:
    """A card: GHz at boost, TB/s, and peaks in TFLOP/s, dense and with float32 sums."""

    name: str
    capability: tuple[int, int]
    processors: int
    clock: float
    bandwidth: float
    peaks: dict[str, float]


CARDS = {  # NVIDIA's data sheet of the H200 SXM (dense: half of the figures with sparsity), white paper of Ada
    "h200": Card("H200 SXM", (9, 0), 132, 1.98, 4.8, {"f32": 67, "tf32": 494, "bf16": 989}),
    "rtx4090": Card("RTX 4090", (8, 9), 128, 2.52, 1.008, {"f32": 82.6, "tf32": 82.6, "bf16": 165.2}),
}


@dataclass(frozen=True)
class Cost:
    """What a launch would take, in seconds, and what of it is lost where.

    `ideal` is what its multiply-adds would take at the peak of its precision.  `useful` is the share of the
    products of its tiles that are not padding.
    """

    kind: str
    title: str
    blocks: int
    resident: int
    moved: int
    macs: int
    compute: float
    memory: float
    issue: float
    ideal: float = 0.0
    useful: float = 1.0
    full: float = 1.0
    """The share of the multiprocessors' time that the last wave leaves them."""

    @property
    def seconds(self) -> float:
        return max(self.compute, self.memory, self.issue) + LAUNCH

    @property
    def limit(self) -> str:
        times = {"launch": LAUNCH, "multiply": self.compute, "memory": self.memory, "issue": self.issue}
        return max(times, key=lambda name: times[name])


def costs(network: Any, batch: int, mode: Any, card: Card, precision: Any) -> list[Cost]:
    """One for each launch of a run."""
    device = find_target("cuda", precision=precision)
    lowered = lay_out(program_graph(network, batch, mode, device), device).lowered
    return [_cost(lowered, call, step, card) for call in lowered.run for step in call.steps]


def _cost(lowered: Lowered[Launch], call: LoweredCall[Launch], step: Launch, card: Card) -> Cost:
    code = machine_code(step.source, card.capability)
    resident = code.resident(step, card.capability)
    moved = _moved(step)
    memory = moved / _bandwidth(step, code, resident, card)
    issue = _issue(step, code, card)
    kind = _kind(lowered, call, step)
    shared = (kind, step.title, step.blocks, resident, moved)
    if "row_tiles" in step.values:
        return _product(call, step, card, shared, memory)
    types = [v.type for v in call.operands]
    flops = primitive_flops(call.node, types) if not isinstance(call.node.op, Contract) else 0
    macs = primitive_macs(call.node, types) if "depthwise" in kind else 0
    compute = (flops + 2 * macs) / (card.peaks["f32"] * 1e12) / max(1, len(call.steps))
    return Cost(*shared, macs, compute, memory, issue)


def _moved(step: Launch) -> int:
    """Bytes that a launch reads or writes, each once; slots show where sums in parts begin, or one part of them."""
    views = [slot.view for slot in step.slots.values()]
    scratch = sum(_distinct(view) for view in views if view.buffer == SCRATCH)
    return sum(_distinct(view) for view in views if view.buffer != SCRATCH) + max(scratch, step.scratch)


def _distinct(view: View) -> int:
    """Bytes of a view, those that are repeated along an axis once."""
    return view.item * math.prod(n for n, stride in zip(view.shape, view.strides, strict=True) if stride)


def _product(
    call: LoweredCall[Launch], step: Launch, card: Card, shared: tuple[str, str, int, int, int], memory: float
) -> Cost:
    """A launch of tiles: each multiprocessor takes one after the other, as the planner models it."""
    v = {name: int(value) for name, value in step.values.items()}
    sizes = v["rows"], v["columns"], v["terms"], v["groups"]
    precision = call.node.op.precision
    tile, _ = cut(*sizes, precision)
    share = {**TILES, **TENSOR[precision]}[tile]
    terms = min(v["part_terms"], v["terms"])
    peak = card.peaks["f32"] * 1e12 / 2 / card.processors
    each = -(-step.blocks // card.processors)
    warps = min(each, shared[3]) * tile.threads / WARP
    area, busy = tile.rows * tile.columns, warps / (warps + WAITING)
    block = (terms + START * max(1.0, share)) * area / (share * busy)
    macs = math.prod(sizes)
    done = tile.rows * tile.columns * terms * step.blocks
    useful = macs / done if done else 1.0  # a phase of a stride without taps multiplies nothing
    full = step.blocks / (each * card.processors)
    ideal = 2 * macs / (card.peaks[precision] * 1e12)
    return Cost(*shared, macs, each * block / peak, memory, 0.0, ideal, useful, full)


def _bandwidth(step: Launch, code: MachineCode, resident: int, card: Card) -> float:
    """Bytes a second: of the memory, or those that the threads at work have asked for in the time of an answer."""
    blocks = min(step.blocks, resident * card.processors)
    asked = blocks * step.threads * max(4, _loaded(code)) / LATENCY
    return min(REACHED * card.bandwidth * 1e12, asked)


def _loaded(code: MachineCode) -> int:
    """Bytes that a thread asks for before it waits: all loads that stand in the code."""
    loads = {n: c for n, c in (code.instructions or {}).items() if re.match(r"LDG\b|LDGSTS\b", n)}
    return sum(count * (16 if ".128" in n else 8 if ".64" in n else 4) for n, count in loads.items())


def _issue(step: Launch, code: MachineCode, card: Card) -> float:
    """Seconds to start the instructions of a kernel without loops; others are not counted."""
    if code.instructions is None or "while " in step.source.text:
        return 0.0
    count = sum(n for name, n in code.instructions.items() if not name.startswith("NOP"))
    warps = step.blocks * step.threads / WARP
    return warps * count / (ISSUED * card.processors * card.clock * 1e9)


def _kind(lowered: Lowered[Launch], call: LoweredCall[Launch], step: Launch) -> str:
    """The row of the table that a launch belongs to."""
    op = call.node.op
    if isinstance(op, Contract):
        if step.title.endswith(" sum"):
            return "sums of parts"
        return f"contract {op.role}" if "row_tiles" in step.values else f"depthwise {op.role}"
    written = {call.buffer(slot) for slot in step.slots.values() if slot.written} - {None}
    kinds = {lowered.buffers[b].kind for b in written if b is not None}
    return "update of weights" if kinds & {"param", "state"} else op.name


# --- the report --------------------------------------------------------------------------------------------------


def by_kind(found: Iterable[Cost]) -> list[dict[str, Any]]:
    """A row for each kind of kernel, the longest first."""
    groups: dict[str, list[Cost]] = defaultdict(list)
    for cost in found:
        groups[cost.kind].append(cost)
    total = sum(c.seconds for costs in groups.values() for c in costs)
    rows = [_row(kind, costs, total) for kind, costs in groups.items()]
    return sorted(rows, key=lambda r: -float(r["us"]))


def _row(kind: str, costs: list[Cost], total: float) -> dict[str, Any]:
    limits: dict[str, float] = defaultdict(float)
    for c in costs:
        limits[c.limit] += c.seconds
    us = sum(c.seconds for c in costs)
    return {
        "kind": kind,
        "launches": len(costs),
        "us": round(1e6 * us, 1),
        "share": round(us / total, 3),
        "gflop": round(2e-9 * sum(c.macs for c in costs), 1),
        "mb": round(1e-6 * sum(c.moved for c in costs), 1),
        "at_peak_us": round(1e6 * sum(c.ideal for c in costs), 1),
        "limits": {name: round(s / us, 2) for name, s in sorted(limits.items(), key=lambda x: -x[1])},
    }


def faults(found: list[Cost], card: Card) -> list[dict[str, Any]]:
    """What costs time that a better plan would not take, by the seconds of it; they overlap."""
    products = [c for c in found if c.ideal]
    memory = REACHED * card.bandwidth * 1e12
    lost = {
        "tiles reach a part of the peak": [(c, (c.compute - c.compute * _share(c))) for c in products],
        "padding in tiles": [(c, c.compute * (1 - c.useful)) for c in products],
        "the last wave is not full": [(c, c.compute * (1 - c.full)) for c in products],
        "sums in parts take a second launch": [(c, c.seconds) for c in found if c.kind == "sums of parts"],
        "too few bytes are asked for at once": [(c, max(0.0, c.memory - c.moved / memory)) for c in found],
        "instructions take longer than memory": [(c, max(0.0, c.issue - c.memory)) for c in found],
        "launches": [(c, LAUNCH) for c in found],
        "passes over activations that are no contraction": [
            (c, c.memory) for c in found if c.kind in ("map", "reduce") and c.moved > 1 << 20
        ],
    }
    rows = [_fault(what, pairs) for what, pairs in lost.items()]
    return sorted((r for r in rows if r["us"]), key=lambda r: -float(r["us"]))


def _share(c: Cost) -> float:
    """What of the time of a product would be left at the peak, its waste apart."""
    return min(1.0, c.ideal / (c.compute * c.useful * c.full))


def _fault(what: str, pairs: list[tuple[Cost, float]]) -> dict[str, Any]:
    pairs = sorted((p for p in pairs if p[1] > 0), key=lambda p: -p[1])
    worst = pairs[0][0].title if pairs else ""
    return {
        "fault": what,
        "launches": len(pairs),
        "us": round(1e6 * sum(s for _, s in pairs), 1),
        "worst": worst,
    }


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Rows as a table of Markdown."""
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + "---|" * len(rows[0])
    for r in rows:
        cells = [
            ", ".join(f"{k} {x:.0%}" for k, x in v.items()) if isinstance(v, dict) else v for v in r.values()
        ]
        yield "| " + " | ".join(f"{c:,}" if isinstance(c, int | float) else str(c) for c in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--net", help="a net or preset of the file")
    parser.add_argument("--card", choices=CARDS, default="h200")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--mode", choices=("inference", "training"), default="training")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32")
    parser.add_argument("--longest", type=int, default=10, help="launches that are listed")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    network = netdsl.load(given.file, **({"net": given.net} if given.net else {}))
    card = CARDS[given.card]
    found = costs(network, given.batch, given.mode, card, given.precision)
    total, ideal = sum(c.seconds for c in found), sum(c.ideal for c in found)
    longest = sorted(found, key=lambda c: -c.seconds)[: given.longest]
    if given.json:
        report = {"card": asdict(card), "kinds": by_kind(found), "faults": faults(found, card)}
        print(json.dumps({**report, "launches": [asdict(c) for c in found]}, indent=1))
        return
    print(
        f"{network.name}, {given.mode}, batch {given.batch}, {given.precision}, {card.name}: {1e3 * total:.2f} ms"
    )
    print(
        f"in {len(found):,} launches; {1e3 * ideal:.2f} ms for the multiply-adds at the peak. Nothing was measured.\n"
    )
    print(*_table(by_kind(found)), "", *_table(faults(found, card)), "", sep="\n")
    rows = [
        {"launch": c.title, "us": round(1e6 * c.seconds, 1), "limit": c.limit, "blocks": c.blocks,
         "resident": c.resident, "useful": round(c.useful, 2), "full": round(c.full, 2)}
        for c in longest
    ]  # fmt: skip
    print(*_table(rows), sep="\n")


if __name__ == "__main__":
    main()
