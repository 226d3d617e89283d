"""Several networks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.report.columns import shape_text
from netdsl.report.sizes import bytes_text
from netdsl.report.summary import Summary
from netdsl.report.table import Cells, table
from netdsl.terminal import wrapped


def _input(summary: Summary) -> tuple[int, ...]:
    return next((row.shape for row in summary.rows if row.kind == "input"), ())


def render_compare(summaries: Sequence[Summary], width: int) -> str:
    """The table, in the order given."""
    columns = [
        Cells("network", [s.network for s in summaries], right=False, rank=9),
        Cells("input", [shape_text(_input(s)) for s in summaries], right=False, rank=5),
        Cells("params", [f"{s.totals.params:,}" for s in summaries], right=True, rank=8),
        Cells("MACs", [f"{s.totals.macs:,}" for s in summaries], right=True, rank=7),
        Cells("FLOPs", [f"{s.totals.flops:,}" for s in summaries], right=True, rank=4),
        Cells("results", [bytes_text(s.totals.activation_bytes) for s in summaries], right=True, rank=6),
    ]
    lines, hidden = table(columns, width)
    notes = ["(one sample in inference; MACs: multiply-adds; FLOPs: 2 per MAC, 1 per other operation)"]
    notes += [f"(not shown at this width: {', '.join(hidden)})"] if hidden else []
    return "\n".join([*lines, *(part for note in notes for part in wrapped(note, width))])


def compare_json(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """Plain data: one object per network."""
    return [
        {
            "network": s.network,
            "input": list(_input(s)),
            "params": s.totals.params,
            "macs": s.totals.macs,
            "flops": s.totals.flops,
            "activation_bytes": s.totals.activation_bytes,
        }
        for s in summaries
    ]
