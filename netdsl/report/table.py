"""Tables for a terminal: as many columns as fit, aligned, with a rule below the headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cells:
    """A printed column.  On a narrow page the columns of the lowest `rank` are left out; the first column stays."""

    heading: str
    texts: Sequence[str]
    right: bool
    rank: int

    @property
    def width(self) -> int:
        """The width of the longest cell."""
        return max(map(len, (self.heading, *self.texts)))


def table(columns: Sequence[Cells], width: int) -> tuple[list[str], list[str]]:
    """The lines of a table, and the headings of the columns that did not fit into `width`."""
    shown = list(columns)
    while _spare(shown, width) < 0 and len(shown) > 2:
        shown.remove(min(shown[1:], key=lambda c: c.rank))
    widths = [c.width for c in shown]
    widths[0] = min(widths[0], max(12, widths[0] + _spare(shown, width)))
    cells = [[_cell(c, t, w) for t in (c.heading, *c.texts)] for c, w in zip(shown, widths, strict=True)]
    head, *body = [" " + "  ".join(row).rstrip() for row in zip(*cells, strict=True)]
    rule = " " + "─" * (sum(widths) + 2 * len(widths) - 2)
    return [head, rule, *body], [c.heading for c in columns if c not in shown]


def _spare(shown: Sequence[Cells], width: int) -> int:
    return width - sum(c.width + 2 for c in shown)


def _cell(column: Cells, text: str, width: int) -> str:
    text = text if len(text) <= width else f"{text[: width - 1]}…"
    return text.rjust(width) if column.right else text.ljust(width)
