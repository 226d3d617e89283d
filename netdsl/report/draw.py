"""A drawing of a network as SVG, as a page of HTML that opens without any other file, and as DOT for Graphviz."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape

from netdsl.report.columns import shape_text
from netdsl.report.layout import Placed, place
from netdsl.report.summary import Summary
from netdsl.report.units import Flow, Unit, units_of

MAX_BOXES = 2000
COLOURS = {
    "conv": "#cfe2f3",
    "dense": "#d9d2e9",
    "pool": "#f9cb9c",
    "norm": "#d9ead3",
    "merge": "#fff2cc",
    "input": "#eeeeee",
    "output": "#ffffff",
    "block": "#c6e2dc",
    "other": "#f4f4f4",
}
_ROW, _BOX, _MARGIN, _LETTER = 64.0, 38.0, 24.0, 6.6


def draw(summary: Summary, form: str, depth: int | None = None) -> str:
    """The drawing as `svg`, `html` or `dot`.  Raises ValueError for more than `MAX_BOXES` boxes."""
    units, flows = units_of(summary, depth)
    if len(units) > MAX_BOXES:
        raise ValueError(f"{len(units):,} boxes are too many for a drawing: --depth shows blocks closed")
    if form == "dot":
        return _dot(summary.network, units, flows)
    svg = _svg(summary.network, units, flows)
    return svg if form == "svg" else _html(summary.network, svg)


def _svg(title: str, units: Sequence[Unit], flows: Sequence[Flow]) -> str:
    widths = {u.key: _width(u) for u in units}
    placed = place(widths, [(f.source, f.target) for f in flows])
    top = _MARGIN + 26
    height = top + _ROW * (max(placed.layer.values(), default=0) + 1) + 34
    width = max(placed.width, 560.0) + 2 * _MARGIN
    left = (width - placed.width) / 2
    shown = sorted({u.family for u in units}, key=list(COLOURS).index)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#555555"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 4}" font-size="16" font-weight="bold">{escape(title)}</text>',
        *(_flow(f, placed, left, top) for f in flows),
        *(_box(u, placed, widths[u.key], left, top) for u in units),
        *_legend(shown, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _width(unit: Unit) -> float:
    return max(64.0, _LETTER * max(len(unit.title), len(shape_text(unit.shape))) + 18)


def _box(unit: Unit, placed: Placed, width: float, left: float, top: float) -> str:
    x, y = left + placed.x[unit.key], top + _ROW * placed.layer[unit.key]
    paint = f'fill="{COLOURS[unit.family]}" stroke="#555555"' + (
        ' stroke-width="1.6"' if unit.family == "block" else ""
    )
    return (
        f"<g><title>{escape(unit.note)}</title>"
        f'<rect x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BOX}" rx="7" {paint}/>'
        f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{escape(unit.title)}</text>'
        f'<text x="{x:.1f}" y="{y + 31:.1f}" text-anchor="middle" font-size="10.5" fill="#555555">'
        f"{escape(shape_text(unit.shape))}</text></g>"
    )


def _flow(flow: Flow, placed: Placed, left: float, top: float) -> str:
    """A line through the bends, with round corners."""
    way = placed.ways[flow.source, flow.target]
    points = [(left + x, top + _ROW * layer + _BOX / 2) for layer, x in way]
    (x0, y0), (x1, y1) = points[0], points[-1]
    points[0], points[-1] = (x0, y0 + _BOX / 2), (x1, y1 - _BOX / 2 - 1)
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        middle = (ay + by) / 2
        path.append(f"C{ax:.1f} {middle:.1f} {bx:.1f} {middle:.1f} {bx:.1f} {by:.1f}")
    return f'<path d="{" ".join(path)}" fill="none" stroke="#555555" marker-end="url(#tip)"/>'


def _legend(families: Sequence[str], height: float) -> list[str]:
    lines, x = [], _MARGIN
    for name in families:
        lines.append(
            f'<rect x="{x}" y="{height - 26}" width="12" height="12" rx="3" fill="{COLOURS[name]}" stroke="#555555"/>'
        )
        lines.append(f'<text x="{x + 17}" y="{height - 16}" font-size="11">{name}</text>')
        x += 30 + _LETTER * len(name)
    return lines


def _html(title: str, svg: str) -> str:
    """The picture in a page: the wheel with Ctrl zooms, the pointer on a box tells what it is."""
    script = (
        "const s=document.querySelector('svg');let k=1;const w=s.width.baseVal.value,h=s.height.baseVal.value;"
        "addEventListener('wheel',e=>{if(!e.ctrlKey)return;e.preventDefault();k*=e.deltaY<0?1.1:1/1.1;"
        "s.setAttribute('width',w*k);s.setAttribute('height',h*k)},{passive:false});"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>body{{margin:0;background:#fff}}</style></head><body>\n{svg}<script>{script}</script></body></html>\n"
    )


def _dot(title: str, units: Sequence[Unit], flows: Sequence[Flow]) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    lines = [
        f"digraph {quoted(title)} {{",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica"];',
    ]
    for u in units:
        label = quoted(f"{u.title}\n{shape_text(u.shape)}")
        lines.append(
            f'  {quoted(u.key)} [label={label}, fillcolor="{COLOURS[u.family]}", tooltip={quoted(u.note)}];'
        )
    lines += [f"  {quoted(f.source)} -> {quoted(f.target)};" for f in flows]
    return "\n".join([*lines, "}"]) + "\n"
