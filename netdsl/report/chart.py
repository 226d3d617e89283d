"""The lectures' chart of several networks: cost against parameters.

Canziani, Paszke and Culurciello, "An Analysis of Deep Neural Network Models for Practical Applications", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from netdsl.report.chart_axis import ChartAxis
from netdsl.report.summary import Summary

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 1080.0, 760.0, 80.0, 60.0, 44.0, 24.0
_LETTER, _LINE, _AIR, _ROOM = 6.1, 13.0, 2.0, 0.08
#: how far apart the tries for the place of a name are, and their directions: right and left first, steep ones last
_STEP, _FARTHEST, _CROSSING = 6.0, 600.0, 40.0
_DIRECTIONS = sorted((2 * math.pi * k / 16 for k in range(16)), key=lambda turn: abs(math.sin(turn)))


@dataclass(frozen=True)
class _Box:
    """A rectangle that is taken."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


@dataclass(frozen=True)
class _Disc:
    """A network: its place, the radius, and its name."""

    x: float
    y: float
    radius: float
    name: str

    @property
    def box(self) -> _Box:
        return _Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True)
class _Name:
    """Where a name is, the points of the line to its disc, and how bad that is."""

    box: _Box
    line: Sequence[_Box]
    cost: float


def chart(summaries: Sequence[Summary]) -> str:
    """Multiply-adds against parameters, both logarithmic, the area of a disc its results in memory: an SVG."""
    shown = [s for s in summaries if s.totals.params and s.totals.macs]
    if not shown:
        raise ValueError("a chart needs networks with parameters and multiply-adds")
    xs = ChartAxis.around([s.totals.params for s in shown], _LEFT, _WIDTH - _RIGHT, log=True, share=_ROOM)
    ys = ChartAxis.around([s.totals.macs for s in shown], _HEIGHT - _BOTTOM, _TOP, log=True, share=_ROOM)
    most = max(s.totals.activation_bytes for s in shown)
    discs = [
        _Disc(
            xs.place(s.totals.params),
            ys.place(s.totals.macs),
            3 + 13 * math.sqrt(s.totals.activation_bytes / most),
            s.network,
        )
        for s in sorted(shown, key=lambda s: -s.totals.activation_bytes)
    ]
    frame = f'viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" font-family="Helvetica, Arial, sans-serif" font-size="11"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
        f'<rect width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="#ffffff"/>',
        *_grid(xs, ys),
        *(_circle(disc) for disc in discs),
        *_names(discs),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(xs: ChartAxis, ys: ChartAxis) -> Iterator[str]:
    for tick in xs.ticks(14):
        x = xs.place(tick)
        yield f'<line x1="{x:.1f}" y1="{ys.end:g}" x2="{x:.1f}" y2="{ys.start:g}" stroke="#e4e4e4"/>'
        yield f'<text x="{x:.1f}" y="{ys.start + 18:g}" text-anchor="middle">{_short(tick)}</text>'
    for tick in ys.ticks(14):
        y = ys.place(tick)
        yield f'<line x1="{xs.start:g}" y1="{y:.1f}" x2="{xs.end:g}" y2="{y:.1f}" stroke="#e4e4e4"/>'
        yield f'<text x="{xs.start - 8:g}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>'
    middle = (xs.start + xs.end) / 2
    yield f'<text x="{middle:g}" y="{_HEIGHT - 16:g}" text-anchor="middle" font-size="14">parameters</text>'
    yield f'<text x="20" y="{_TOP - 20:g}" font-size="14">multiply-adds of one sample</text>'


def _circle(disc: _Disc) -> str:
    paint = 'fill="#3b6ea5" fill-opacity="0.3" stroke="#3b6ea5"'
    return f'<circle cx="{disc.x:.1f}" cy="{disc.y:.1f}" r="{disc.radius:.1f}" {paint}/>'


def _names(discs: Sequence[_Disc]) -> Iterator[str]:
    """Each name near its disc, with a line where it is not beside it; of several orders the one with short lines."""
    crowd = {d: sum(math.hypot(d.x - e.x, d.y - e.y) < 60 for e in discs) for d in discs}
    orders = (
        lambda d: -crowd[d],
        lambda d: crowd[d],
        lambda d: d.x,
        lambda d: -d.x,
        lambda d: d.y,
        lambda d: -d.y,
    )
    ways = [_placed(sorted(discs, key=order), discs) for order in orders]
    for disc, name in min(ways, key=lambda way: sum(name.cost**2 for _, name in way)):
        box, line = name.box, name.line
        yield f'<text x="{box.left + _AIR:.1f}" y="{box.bottom - 3.5:.1f}">{escape(disc.name)}</text>'
        if line:
            ends = f'x1="{line[0].left:.1f}" y1="{line[0].top:.1f}" x2="{line[-1].left:.1f}" y2="{line[-1].top:.1f}"'
            yield f'<line {ends} stroke="#888888" stroke-width="0.7"/>'


def _placed(order: Sequence[_Disc], discs: Sequence[_Disc]) -> list[tuple[_Disc, _Name]]:
    """The names one after the other, each at the best place by then; the first one anywhere where all is full."""
    taken = [disc.box for disc in discs]
    names: list[_Name] = []
    for disc in order:
        best: _Name | None = None
        for far, box in _places(disc):
            if best is not None and far >= best.cost:
                break
            if not any(box.overlaps(t) for t in taken):
                name = _named(disc, box, far, names)
                best = name if best is None or name.cost < best.cost else best
        names.append(best or _named(disc, next(_places(disc))[1], 0.0, names))
        taken.append(names[-1].box)
    return list(zip(order, names, strict=True))


def _named(disc: _Disc, box: _Box, far: float, names: Sequence[_Name]) -> _Name:
    """A name so far from its disc; what its line crosses, or what crosses it, costs as much as a long way."""
    line = _line(disc, box) if far > _STEP else []
    crossed = sum(any(p.overlaps(n.box) for p in line) or any(p.overlaps(box) for p in n.line) for n in names)
    return _Name(box, line, far + _CROSSING * crossed)


def _line(disc: _Disc, box: _Box) -> list[_Box]:
    """Points from the rim of a disc to the nearest point of a name."""
    x, y = min(max(disc.x, box.left), box.right), min(max(disc.y, box.top), box.bottom)
    rim = disc.radius / math.hypot(x - disc.x, y - disc.y)
    shares = (rim + (1 - rim) * k / 12 for k in range(13))
    points = ((disc.x + share * (x - disc.x), disc.y + share * (y - disc.y)) for share in shares)
    return [_Box(a, b, a, b) for a, b in points]


def _places(disc: _Disc) -> Iterator[tuple[float, _Box]]:
    """Boxes for a name around its disc and how far they are, the nearest first."""
    width = _LETTER * len(disc.name) + 2 * _AIR
    for step in range(int(_FARTHEST / _STEP)):
        for turn in _DIRECTIONS:
            across, down = math.cos(turn), math.sin(turn)
            reach = disc.radius + 1 + step * _STEP
            x, y = disc.x + reach * across, disc.y + reach * down
            # The side of the box that looks to the disc is there.
            left, top = x - width * (1 - across) / 2, y - _LINE * (1 - down) / 2
            inside = _LEFT < left and left + width < _WIDTH and _TOP < top and top + _LINE < _HEIGHT - _BOTTOM
            if inside:
                yield step * _STEP, _Box(left, top, left + width, top + _LINE)


def _short(value: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
