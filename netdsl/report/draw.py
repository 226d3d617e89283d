"""A drawing of a network as SVG, as a page of HTML that opens without any other file, and as DOT for Graphviz."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from html import escape

from netdsl.report.columns import shape_text
from netdsl.report.figure import COLOURS, LETTER, Figure, figure, legend, shifted
from netdsl.report.parts import Part, parts_of
from netdsl.report.summary import Summary

MAX_BOXES = 2000
#: width to height of a page
PAGE = 1.3
_MARGIN, _GAP, _INSET, _HEAD, _LEAST = 24.0, 22.0, 16.0, 28.0, 220.0
Place = tuple[float, float]
Frame = tuple[float, float, float, float]


def draw(summary: Summary, form: str, depth: int | None = None, blocks: int = 0) -> str:
    """The drawing as `svg`, `html` or `dot`; beside the network closed blocks are shown open, `blocks` levels deep.

    Raises ValueError for more than `MAX_BOXES` boxes.
    """
    parts = parts_of(summary, depth, blocks)
    count = sum(len(part.units) for part in parts)
    if count > MAX_BOXES:
        raise ValueError(f"{count:,} boxes are too many for a drawing: --depth shows blocks closed")
    if form == "dot":
        return _dot(parts)
    svg = _svg(parts)
    return svg if form == "svg" else _html(summary.network, svg)


def _svg(parts: Sequence[Part]) -> str:
    figures = [_framed(part, framed=k > 0) for k, part in enumerate(parts)]
    places, width, height = _pack(figures)
    width = max(width, _LEAST)
    colours = legend(parts, width)
    width, height = width + 2 * _MARGIN, height + colours.height + 3 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#555555"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        *(
            line
            for f, (x, y) in zip(figures, places, strict=True)
            for line in shifted(f, _MARGIN + x, _MARGIN + y)
        ),
        *shifted(colours, _MARGIN, height - _MARGIN - colours.height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _framed(part: Part, framed: bool) -> Figure:
    """The figure below its title; that of a block has a frame."""
    inner = figure(part)
    inset = _INSET if framed else 0.0
    least = 1.4 * LETTER * len(part.title) + LETTER * len(part.remark)
    width, height = max(inner.width, least) + 2 * inset, inner.height + _HEAD + 2 * inset
    frame = f'<rect width="{width:.1f}" height="{height:.1f}" rx="10" fill="#fcfcfa" stroke="#bbbbbb"/>'
    size = 13 if framed else 16
    title = (
        f'<text x="{inset:g}" y="{inset + 11:g}" font-size="{size}" font-weight="bold">{escape(part.title)}'
    )
    if part.remark:
        title += (
            f'<tspan font-size="11" font-weight="normal" fill="#555555" dx="8">{escape(part.remark)}</tspan>'
        )
    body = [*([frame] if framed else []), f"{title}</text>"]
    return Figure(width, height, [*body, *shifted(inner, (width - inner.width) / 2, inset + _HEAD)])


def _pack(figures: Sequence[Figure]) -> tuple[list[Place], float, float]:
    """Places of the figures in order, packed to be shown as large as possible on a page; then width and height."""
    ways = []
    for reach in itertools.accumulate(f.width + _GAP for f in figures):
        frames: list[Frame] = []
        for f in figures:
            x, y = _free(frames, f, reach)
            frames.append((x, y, x + f.width + _GAP, y + f.height + _GAP))
        width, height = max(f[2] for f in frames) - _GAP, max(f[3] for f in frames) - _GAP
        ways.append(([(x, y) for x, y, _, _ in frames], width, height))
    return min(ways, key=lambda way: (max(way[1] / PAGE, way[2]), way[1] * way[2]))


def _free(frames: Sequence[Frame], figure: Figure, reach: float) -> Place:
    """The highest free place; of equally high ones, the leftmost."""
    lefts = [0.0, *(right for _, _, right, _ in frames if right + figure.width <= reach)]
    places = []
    for x in lefts:
        under = (bottom for left, _, right, bottom in frames if left < x + figure.width + _GAP and x < right)
        places.append((max(under, default=0.0), x))
    y, x = min(places)
    return x, y


def _html(title: str, svg: str) -> str:
    """The picture in an HTML page: Ctrl and the mouse wheel zoom, a tooltip describes each box."""
    script = (
        "const s=document.querySelector('svg');let k=1;const w=s.width.baseVal.value,h=s.height.baseVal.value;"
        "addEventListener('wheel',e=>{if(!e.ctrlKey)return;e.preventDefault();k*=e.deltaY<0?1.1:1/1.1;"
        "s.setAttribute('width',w*k);s.setAttribute('height',h*k)},{passive:false});"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>body{{margin:0;background:#fff}}</style></head><body>\n{svg}<script>{script}</script></body></html>\n"
    )


def _dot(parts: Sequence[Part]) -> str:
    network, *blocks = parts
    lines = [
        f"digraph {_quoted(network.title)} {{",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica"];',
        *_dot_part(network, ""),
    ]
    for block in blocks:
        lines += [f"  subgraph {_quoted(f'cluster {block.title}')} {{", f"  label={_quoted(block.title)};"]
        lines += [*_dot_part(block, f"{block.title}: "), "  }"]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_part(part: Part, prefix: str) -> Iterator[str]:
    for u in part.units:
        label = _quoted(f"{u.label}\n{shape_text(u.shape)}")
        style = ', style="rounded,filled,dashed"' if u.shared else ""
        paint = f'fillcolor="{COLOURS[u.family]}"{style}'
        yield f"  {_quoted(prefix + u.key)} [label={label}, {paint}, tooltip={_quoted(u.note)}];"
    for f in part.flows:
        yield f"  {_quoted(prefix + f.source)} -> {_quoted(prefix + f.target)};"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
