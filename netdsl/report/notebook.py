"""A summary that shows itself: as a table where it is printed, in a notebook as a page with a drawing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape

from netdsl.report.draw import MAX_BOXES, draw
from netdsl.report.parts import parts_of
from netdsl.report.render import render
from netdsl.report.summary import Summary

#: so many boxes are still taken in at a glance: blocks are closed until a drawing has no more
GLANCE = 40


@dataclass(frozen=True)
class ShownSummary(Summary):
    """A summary for people: `print` shows the table, a notebook the whole of it and the drawing."""

    def __str__(self) -> str:
        return render(self, "table", width=100)

    def _repr_html_(self) -> str:
        """The whole table, which scrolls where it is long, and the drawing in as much detail as a page takes."""
        rows = f'<div style="max-height:40em;overflow:auto">\n{render(self, "html")}\n</div>'
        return f'{rows}\n<div style="overflow:auto">\n{_drawing(self)}</div>'


def shown_summary(summary: Summary) -> ShownSummary:
    """The same summary as one that shows itself."""
    return ShownSummary(**{f.name: getattr(summary, f.name) for f in fields(summary)})


def _drawing(summary: Summary) -> str:
    deepest = 1 + max((path.count(".") + 1 for path in summary.scopes), default=0)
    count = 0
    for depth in range(deepest, 0, -1):
        (network,) = parts_of(summary, depth)
        count = len(network.units)
        if count <= GLANCE or (depth == 1 and count <= MAX_BOXES):
            return draw(summary, "svg", depth)
    return f"<p>{escape(f'(no drawing: {count:,} boxes are too many)')}</p>"
