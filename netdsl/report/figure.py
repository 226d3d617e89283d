"""The picture of one part of a drawing: its boxes, and its flows as lines round them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from netdsl.report.columns import shape_text
from netdsl.report.parts import Part
from netdsl.report.placement import Placed, fit, place
from netdsl.report.units import Unit

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
BOX, LETTER = 38.0, 6.6
_GAP, _WIDEST_GAP, _END = 22.0, 60.0, 9.0


@dataclass(frozen=True)
class Figure:
    """SVG elements in a frame of this size, whose upper left corner is 0, 0."""

    width: float
    height: float
    body: Sequence[str]


def figure(part: Part) -> Figure:
    """The picture of a part."""
    widths = {u.key: _width(u) for u in part.units}
    placed = place(widths, [(f.source, f.target) for f in part.flows])
    tops = _tops(placed)
    ends = _ends(placed, widths)
    lines = [_line(way, tops, ends[flow]) for flow, way in placed.ways.items()]
    boxes = [_box(u, placed.x[u.key], tops[placed.layer[u.key]], widths[u.key]) for u in part.units]
    return Figure(placed.width, tops[-1] + BOX, [*lines, *boxes])


def _width(unit: Unit) -> float:
    return max(64.0, LETTER * max(len(unit.label), len(shape_text(unit.shape))) + 18)


def _tops(placed: Placed) -> list[float]:
    """Where each layer begins; lines that go far to the side need more room between two."""
    far = [0.0] * (max(placed.layer.values(), default=0) + 1)
    for way in placed.ways.values():
        for (layer, a), (_, b) in itertools.pairwise(way):
            far[layer] = max(far[layer], abs(a - b))
    gaps = (min(_GAP + 0.08 * x, _WIDEST_GAP) for x in far[:-1])
    return list(itertools.accumulate(gaps, lambda y, gap: y + BOX + gap, initial=0.0))


def _ends(placed: Placed, widths: Mapping[str, float]) -> Mapping[tuple[str, str], float]:
    """Where the flows end, as distances from the middle of the box: side by side, as they come."""
    ends: dict[tuple[str, str], float] = {}
    for key, ways in itertools.groupby(sorted(placed.ways, key=lambda f: f[1]), key=lambda f: f[1]):
        come = sorted((placed.ways[way][-2][1] - placed.x[key], way) for way in ways)
        room = widths[key] / 2 - _END
        scale = room / max(room, *(abs(x) for x, _ in come))
        step = min(_END, 2 * room / len(come))
        # What comes straight down stays straight.
        weights = [1e6 if abs(x) < 0.5 else 1.0 for x, _ in come]
        places = fit([x * scale for x, _ in come], weights, [step] * (len(come) - 1))
        ends |= {way: x if len(come) > 1 else 0.0 for (_, way), x in zip(come, places, strict=True)}
    return ends


def _line(way: Sequence[tuple[int, float]], tops: Sequence[float], end: float) -> str:
    """A line through the bends: straight beside boxes, curved between layers."""
    (first, x), *bends = way
    y = tops[first] + BOX
    path = [f"M{x:.1f} {y:.1f}"]
    for k, (layer, to) in enumerate(bends, 1):
        last = k == len(bends)
        to, below = (to + end, tops[layer] - 1) if last else (to, tops[layer])
        middle = (y + below) / 2
        straight = abs(to - x) < 0.05
        path.append(
            f"V{below:.1f}"
            if straight
            else f"C{x:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {below:.1f}"
        )
        x, y = to, tops[layer] + BOX
        path += [] if last else [f"V{y:.1f}"]
    return f'<path d="{" ".join(path)}" fill="none" stroke="#555555" marker-end="url(#tip)"/>'


def _box(unit: Unit, x: float, y: float, width: float) -> str:
    shape = shape_text(unit.shape)
    paint = f'fill="{COLOURS[unit.family]}" stroke="#555555"'
    paint += ' stroke-width="1.6"' if unit.closed else ""
    paint += ' stroke-dasharray="4 3"' if unit.shared else ""
    texts = [(unit.label, "", 16.0), (shape, ' font-size="10.5" fill="#555555"', 31.0)]
    if not unit.label:
        texts = [(shape, ' font-size="10.5" fill="#555555"', 23.0)]
    return "".join(
        [
            f"<g><title>{escape(unit.note)}</title>",
            f'<rect x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX:g}" rx="7" {paint}/>',
            *(
                f'<text x="{x:.1f}" y="{y + down:.1f}" text-anchor="middle"{style}>{escape(text)}</text>'
                for text, style, down in texts
            ),
            "</g>",
        ]
    )


def legend(parts: Sequence[Part], width: float) -> Figure:
    """What the colours of the boxes stand for, in as many rows as the width asks for."""
    units = [u for part in parts for u in part.units]
    keys = {
        u.family: f'fill="{COLOURS[u.family]}"'
        for u in sorted(units, key=lambda u: [*COLOURS].index(u.family))
    }
    keys |= (
        {"shared weights": 'fill="#ffffff" stroke-dasharray="3 2"'} if any(u.shared for u in units) else {}
    )
    body: list[str] = []
    x = y = 0.0
    for name, paint in keys.items():
        room = 30 + LETTER * len(name)
        if x and x + room > width:
            x, y = 0.0, y + 20
        body.append(f'<rect x="{x:g}" y="{y:g}" width="12" height="12" rx="3" {paint} stroke="#555555"/>')
        body.append(f'<text x="{x + 17:g}" y="{y + 10:g}" font-size="11">{name}</text>')
        x += room
    return Figure(width, y + 12, body)


def shifted(figure: Figure, x: float, y: float) -> Iterator[str]:
    """The elements of a figure at a place."""
    yield f'<g transform="translate({x:g} {y:g})">'
    yield from figure.body
    yield "</g>"
