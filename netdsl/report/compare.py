"""Several networks side by side: a table, and the lectures' chart of cost against parameters.

Canziani, Paszke and Culurciello, "An Analysis of Deep Neural Network Models for Practical Applications", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from netdsl.report.columns import shape_text
from netdsl.report.sizes import bytes_text
from netdsl.report.summary import Summary
from netdsl.report.table import Cells, table
from netdsl.report.terminal import wrapped

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 860, 560, 80, 60, 40, 150


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


def chart(summaries: Sequence[Summary]) -> str:
    """Multiply-adds against parameters, both logarithmic, the area of a disc its results in memory: an SVG.

    Our own few lines, because a chart that opens anywhere should not need a plotting library.
    """
    shown = [s for s in summaries if s.totals.params and s.totals.macs]
    if not shown:
        raise ValueError("a chart needs networks with parameters and multiply-adds")
    xs, ys = _Axis([s.totals.params for s in shown]), _Axis([s.totals.macs for s in shown])
    most = max(s.totals.activation_bytes for s in shown)
    frame = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_grid(xs, ys),
        *_discs(shown, xs, ys, most),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Axis:
    """Whole powers of ten around the values, mapped to 0..1."""

    def __init__(self, values: Sequence[int]) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def place(self, value: float) -> float:
        return (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        return [10.0**k for k in range(self.low, self.high + 1)]


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _grid(xs: _Axis, ys: _Axis) -> list[str]:
    lines = []
    for tick in xs.ticks():
        x = _x(xs.place(tick))
        lines.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" stroke="#dddddd"/>'
        )
        lines.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>'
        )
    for tick in ys.ticks():
        y = _y(ys.place(tick))
        lines.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>'
        )
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(
        f'<text x="{middle}" y="{_HEIGHT - 16}" text-anchor="middle" font-size="14">parameters</text>'
    )
    lines.append(f'<text x="{_LEFT - 60}" y="{_TOP - 16}" font-size="14">multiply-adds of one sample</text>')
    return lines


def _discs(shown: Sequence[Summary], xs: _Axis, ys: _Axis, most: int) -> list[str]:
    """Discs, the large ones first, then their names."""
    discs, names = [], []
    for s in sorted(shown, key=lambda s: -s.totals.activation_bytes):
        x, y = _x(xs.place(s.totals.params)), _y(ys.place(s.totals.macs))
        radius = 3 + 13 * math.sqrt(s.totals.activation_bytes / most)
        paint = 'fill="#3b6ea5" fill-opacity="0.3" stroke="#3b6ea5"'
        discs.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {paint}/>')
        names.append((x, y, radius, s.network))
    return [*discs, *_labels(names)]


def _labels(names: Sequence[tuple[float, float, float, str]]) -> list[str]:
    """Each name at the nearest free place beside its disc, with a line to it where that is not next to it."""
    taken: list[tuple[float, float, float]] = []
    lines = []
    for x, y, radius, name in sorted(names, key=lambda n: (-n[0], n[1])):
        width = 7.0 * len(name)
        # Right and left of the disc, then ever further below and above.
        places = (
            (left, y + sign * step * 13)
            for step in range(40)
            for left in (x + radius + 3 + 4 * step, x - radius - 3 - width - 4 * step)
            for sign in (1, -1)
        )
        free = (p for p in places if _fits(p, width, taken))
        left, top = next(free, (x + radius + 3, y))
        taken.append((left, top, width))
        lines.append(f'<text x="{left:.1f}" y="{top + 4:.1f}">{escape(name)}</text>')
        if abs(top - y) > 1:
            near = left - 2 if left > x else left + width + 2
            ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{near:.1f}" y2="{top:.1f}"'
            lines.append(f'<line {ends} stroke="#999999" stroke-width="0.7"/>')
    return lines


def _fits(place: tuple[float, float], width: float, taken: Sequence[tuple[float, float, float]]) -> bool:
    left, top = place
    inside = 0 < left and left + width < _WIDTH and _TOP < top < _HEIGHT - _BOTTOM
    return inside and not any(
        abs(top - b) < 13 and left < a + w + 4 and a < left + width + 4 for a, b, w in taken
    )


def _short(value: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
