"""Charts of series of numbers: panels side by side, each with its axes, and one legend for all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from netdsl.report.canvas import Canvas, Disc, Point, Stroke, Text
from netdsl.report.chart_axis import ChartAxis

#: Okabe and Ito, "Color Universal Design", 2008: told apart by people who see fewer colours, too
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b")
_GRID, _DASH, _LETTER = "#e4e4e4", (5.0, 3.0), 6.2
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 18.0, 30.0, 44.0
_PANEL = (460.0, 300.0)
_COLUMNS = 2


@dataclass(frozen=True)
class Series:
    """Points in order; what is not finite, and on a logarithmic axis what is not above 0, is a gap.

    `colour` counts series that belong together; `style` is `line`, `dashed`, `faint` or `dots`; `spread` is half the
    height of a bar at each point; `best` is the number of a point that is marked.
    """

    name: str
    points: Sequence[Point]
    colour: int = 0
    style: str = "line"
    spread: Sequence[float] = ()
    best: int | None = None


@dataclass(frozen=True)
class Panel:
    """The series of one chart; `marks` are texts for whole numbers from 0 that stand for values along x.

    With `whole_x` no fraction is marked along x."""

    title: str
    x: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    whole_x: bool = False
    marks: Sequence[str] = field(default=())

    def seen(self, point: Point) -> bool:
        """Whether a point has a place."""
        return all(map(math.isfinite, point)) and not (
            (self.log_x and point[0] <= 0) or (self.log_y and point[1] <= 0)
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(self.seen(p) for s in self.series for p in s.points)

    def axes(self, left: float, right: float, bottom: float, top: float) -> tuple[ChartAxis, ChartAxis]:
        """The two axes around everything that has a place."""
        points = [p for s in self.series for p in s.points if self.seen(p)]
        ends = [
            (p[0], p[1] + sign * size)
            for s in self.series
            for p, size in zip(s.points, s.spread, strict=False)
            for sign in (-1, 1)
        ]
        points += [end for end in ends if self.seen(end)]
        room = 0.12 if self.marks else 0.03
        xs = ChartAxis.around([x for x, _ in points], left, right, self.log_x, room)
        return xs, ChartAxis.around([y for _, y in points], bottom, top, self.log_y, 0.06)

    def parts(self, series: Series) -> Iterator[list[Point]]:
        """The points of a series, cut where there are gaps."""
        part: list[Point] = []
        for point in series.points:
            if self.seen(point):
                part.append(point)
            elif part:
                yield part
                part = []
        if part:
            yield part


def number(value: float) -> str:
    """A number beside an axis."""
    return f"{value:,.10g}" if value == 0 or 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"


def plot(panels: Sequence[Panel], title: str = "") -> Canvas:
    """The panels that have points, two in a row, the legend above. Raises ValueError where none has."""
    shown = [panel for panel in panels if not panel.empty]
    if not shown:
        raise ValueError("there is nothing to draw")
    columns = min(_COLUMNS, len(shown))
    width, height = columns * _PANEL[0], -(-len(shown) // columns) * _PANEL[1]
    head: list[Stroke | Disc | Text] = [Text(_LEFT, 22, title, 15)] if title else []
    legend, y = _legend(shown, width, 34 if title else 18)
    canvas = Canvas(width, y + height)
    canvas.add(*head, *legend)
    for k, panel in enumerate(shown):
        canvas.add(*_panel(panel, k % columns * _PANEL[0], y + k // columns * _PANEL[1]))
    return canvas


def _legend(panels: Sequence[Panel], width: float, y: float) -> tuple[list[Stroke | Disc | Text], float]:
    """The names of the series, each once, in as many rows as the width asks for; and where they end."""
    found = {s.name: s for panel in panels for s in panel.series if s.name}
    if len(found) < 2:
        return [], y - 14
    items: list[Stroke | Disc | Text] = []
    x = _LEFT
    for name, series in found.items():
        room = 40 + _LETTER * len(name)
        if x > _LEFT and x + room > width:
            x, y = _LEFT, y + 16
        sample = Series(name, [(x, y - 4), (x + 22, y - 4)], series.colour, series.style)
        items += _strokes(sample, [list(sample.points)])
        items.append(Text(x + 28, y, name))
        x += room
    return items, y + 6


def _panel(panel: Panel, left: float, top: float) -> Iterator[Stroke | Disc | Text]:
    xs, ys = panel.axes(left + _LEFT, left + _PANEL[0] - _RIGHT, top + _PANEL[1] - _BOTTOM, top + _TOP)
    yield from _grid(panel, xs, ys)
    for series in panel.series:
        parts = [[(xs.place(x), ys.place(y)) for x, y in part] for part in panel.parts(series)]
        yield from _bars(series, panel, xs, ys)
        yield from _strokes(series, parts)
    for series in panel.series:
        if series.best is not None and panel.seen(series.points[series.best]):
            x, y = series.points[series.best]
            yield Disc(xs.place(x), ys.place(y), 5.5, _colour(series), edge="#222222")


def _grid(panel: Panel, xs: ChartAxis, ys: ChartAxis) -> Iterator[Stroke | Disc | Text]:
    marks = [(float(k), text) for k, text in enumerate(panel.marks)]
    for tick, text in marks or [(t, number(t)) for t in xs.ticks(8, panel.whole_x)]:
        x = xs.place(tick)
        yield Stroke([(x, ys.start), (x, ys.end)], _GRID)
        yield Text(x, ys.start + 16, _cut(text, len(marks)), anchor="middle")
    for tick in ys.ticks(7):
        y = ys.place(tick)
        yield Stroke([(xs.start, y), (xs.end, y)], _GRID)
        yield Text(xs.start - 7, y + 4, number(tick), anchor="end")
    yield Text((xs.start + xs.end) / 2, ys.start + 34, panel.x, 12, "middle")
    yield Text(xs.start, ys.end - 8, panel.title, 13)


def _cut(text: str, marks: int) -> str:
    """A text that leaves room for those beside it."""
    room = max(6, int((_PANEL[0] - _LEFT - _RIGHT) / max(1, marks) / _LETTER))
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _bars(series: Series, panel: Panel, xs: ChartAxis, ys: ChartAxis) -> Iterator[Stroke]:
    """The spread of each point, no longer than the panel."""
    for (x, y), size in zip(series.points, series.spread, strict=False):
        if panel.seen((x, y)) and size > 0:
            low, high = max(y - size, ys.low), min(y + size, ys.high)
            at = xs.place(x)
            yield Stroke([(at, ys.place(low)), (at, ys.place(high))], _colour(series), 1.0)
            for end in (low, high):
                yield Stroke([(at - 3, ys.place(end)), (at + 3, ys.place(end))], _colour(series), 1.0)


def _strokes(series: Series, parts: Sequence[Sequence[Point]]) -> Iterator[Stroke | Disc]:
    """A series as it looks; a lone point is a dot."""
    colour, opacity = _colour(series), 0.35 if series.style == "faint" else 1.0
    for part in parts:
        if series.style == "dots" or len(part) == 1:
            yield from (Disc(x, y, 2.8, colour, max(opacity, 0.75)) for x, y in part)
        else:
            yield Stroke(part, colour, 1.7, opacity, _DASH if series.style == "dashed" else None)


def _colour(series: Series) -> str:
    return COLOURS[series.colour % len(COLOURS)]
