"""A network in a notebook: the table of its layers, and its drawing."""

from __future__ import annotations

from html import escape

from netdsl.report.draw import MAX_BOXES, draw
from netdsl.report.parts import parts_of
from netdsl.report.render import render
from netdsl.report.summary import Summary

#: so many boxes are still taken in at a glance: blocks are closed until a drawing has no more
GLANCE = 40


def notebook_html(summary: Summary) -> str:
    """The whole table, which scrolls where it is long, and the drawing in as much detail as a page takes."""
    rows = f'<div style="max-height:40em;overflow:auto">\n{render(summary, "html")}\n</div>'
    return f'{rows}\n<div style="overflow:auto">\n{_drawing(summary)}</div>'


def _drawing(summary: Summary) -> str:
    deepest = 1 + max((path.count(".") + 1 for path in summary.scopes), default=0)
    count = 0
    for depth in range(deepest, 0, -1):
        (network,) = parts_of(summary, depth)
        count = len(network.units)
        if count <= GLANCE or (depth == 1 and count <= MAX_BOXES):
            return draw(summary, "svg", depth)
    return f"<p>{escape(f'(no drawing: {count:,} boxes are too many)')}</p>"
