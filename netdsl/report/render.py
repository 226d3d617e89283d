"""Reports as tables for people and as JSON for scripts."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

from netdsl.report.summary import Row, Summary

FOOTER = "params: trained weights; MACs: multiply-adds per sample; FLOPs: 2 per MAC, 1 per other operation"


def shape_text(shape: Sequence[int]) -> str:
    """A shape as the language writes it: `[28, 28, 1]`."""
    return f"[{', '.join(map(str, shape))}]"


def to_json(summary: Summary) -> dict[str, Any]:
    """Plain data: `network`, `rows`, `totals`, `outputs`; every row names its place in the source."""
    return {
        "network": summary.network,
        "rows": [_row_json(r) for r in summary.rows],
        "totals": dataclasses.asdict(summary.totals),
        "outputs": {name: list(shape) for name, shape in summary.outputs.items()},
    }


def _row_json(row: Row) -> dict[str, Any]:
    fields = {f.name: getattr(row, f.name) for f in dataclasses.fields(row) if f.name != "span"}
    place = row.span.to_json() if row.span is not None else None
    return {**fields, "shape": list(row.shape), "span": place}


def render_table(summary: Summary, width: int | None = None, costs: bool = True) -> str:
    """The table of a summary; `costs` adds parameters, MACs and FLOPs."""
    # rich takes 50 ms to import, which a JSON report need not pay.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=summary.network, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("op", overflow="fold")
    table.add_column("output", no_wrap=True)
    if costs:
        for name in ("params", "MACs", "FLOPs"):
            table.add_column(name, justify="right", no_wrap=True)
    for row in summary.rows:
        cells = [row.name, row.kind, shape_text(row.shape)]
        table.add_row(*cells, *(_costs(row) if costs else ()))
    console = Console(file=io.StringIO(), width=width or _terminal_width(), no_color=True)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n")) + "\n" + _totals(summary, costs)


def _costs(row: Row) -> tuple[str, str, str]:
    params = f"shared with {row.shared}" if row.shared and not row.params else _number(row.params)
    return params, _number(row.macs), _number(row.flops)


def _number(n: int) -> str:
    return f"{n:,}" if n else ""


def _totals(summary: Summary, costs: bool) -> str:
    t = summary.totals
    lines = [f"{t.params:,} params, {t.trainable:,} trainable"]
    if costs:
        lines.append(f"{t.macs:,} MACs, {t.flops:,} FLOPs per sample")
        lines.append(f"({FOOTER})")
    return "\n".join(lines)


def _terminal_width() -> int:
    import shutil

    return max(40, shutil.get_terminal_size((100, 24)).columns)
