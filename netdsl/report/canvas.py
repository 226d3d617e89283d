"""Lines, discs and texts on a white page, as SVG.

Our own few lines, because a chart that opens anywhere should not need a plotting library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]
FONT = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Stroke:
    """A line through points; `dash` are the lengths of its strokes and gaps."""

    points: Sequence[Point]
    colour: str
    width: float = 1.0
    opacity: float = 1.0
    dash: tuple[float, float] | None = None


@dataclass(frozen=True)
class Disc:
    """A disc, filled; `edge` is the colour of its rim."""

    x: float
    y: float
    radius: float
    colour: str
    opacity: float = 1.0
    edge: str | None = None


@dataclass(frozen=True)
class Text:
    """A text whose base line begins, has its middle or ends at a point."""

    x: float
    y: float
    text: str
    size: float = 11.0
    anchor: str = "start"
    colour: str = "#222222"


@dataclass
class Canvas:
    """A page of so many units, with what is drawn on it, the later over the earlier."""

    width: float
    height: float
    items: list[Stroke | Disc | Text] = field(default_factory=list)

    def add(self, *items: Stroke | Disc | Text) -> None:
        """Draw."""
        self.items += items

    def svg(self) -> str:
        """The page as an SVG."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">'
        page = f'<rect width="{self.width:g}" height="{self.height:g}" fill="#ffffff"/>'
        return "\n".join([head, page, *map(_element, self.items), "</svg>"]) + "\n"


def _element(item: Stroke | Disc | Text) -> str:
    if isinstance(item, Text):
        paint = f'font-size="{item.size:g}" text-anchor="{item.anchor}" fill="{item.colour}"'
        return f'<text x="{item.x:.1f}" y="{item.y:.1f}" {paint}>{escape(item.text)}</text>'
    seen = "" if item.opacity == 1 else f' opacity="{item.opacity:g}"'
    if isinstance(item, Disc):
        edge = f' stroke="{item.edge}" stroke-width="1.5"' if item.edge else ""
        place = f'cx="{item.x:.1f}" cy="{item.y:.1f}" r="{item.radius:g}"'
        return f'<circle {place} fill="{item.colour}"{edge}{seen}/>'
    dash = f' stroke-dasharray="{item.dash[0]:g} {item.dash[1]:g}"' if item.dash else ""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in item.points)
    paint = f'fill="none" stroke="{item.colour}" stroke-width="{item.width:g}" stroke-linejoin="round"'
    return f'<polyline points="{points}" {paint}{dash}{seen}/>'
