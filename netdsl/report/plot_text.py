"""Charts in a terminal: a panel of Braille dots, or of letters where there are no colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from netdsl.report.chart_axis import ChartAxis
from netdsl.report.plot import Panel, Series, number

#: SGR codes of the colours of `plot.COLOURS`
_COLOURS = (34, 31, 32, 35, 33, 36, 90, 37)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: the bit of each dot of a Braille cell, two across and four down
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_DOTTED = 3  # dots of a stroke and of a gap, of what is dashed

Cell = tuple[str, int]


def plot_text(panels: Sequence[Panel], width: int, height: int, colours: bool) -> list[str]:
    """The panels that have points, one below the other, each `height` lines of a page of `width` columns.

    A series is dots in its colour; without colours, where there are several, letters that the legend explains.
    """
    lines: list[str] = []
    for panel in panels:
        if not panel.empty:
            lines += [*_panel(panel, width, height, colours), ""]
    return lines[:-1]


def _panel(panel: Panel, width: int, height: int, colours: bool) -> Iterator[str]:
    series = [s for s in panel.series if any(map(panel.seen, s.points))]
    _, scale = panel.axes(0, 1, 0, 1)
    labels = {t: number(t) for t in scale.ticks(max(2, height // 3))}
    left = max(map(len, labels.values()), default=0)
    across = max(8, width - left - 2)
    xs, ys = panel.axes(0.5, 2 * across - 1.5, 4 * height - 1.5, 0.5)
    rows = {int(ys.place(t)) // 4: text for t, text in labels.items()}
    cells = _cells(panel, series, xs, ys, (across, height), letters=not colours and len(series) > 1)
    yield from _wrapped([panel.title], width, "  ")
    for y in range(height):
        text = "".join(_painted(cells.get((x, y)), colours) for x in range(across))
        yield f"{rows.get(y, ''):>{left}} {'┤' if y in rows else '│'}{text}".rstrip()
    yield f"{'':>{left}} └{'─' * across}"
    yield from _marks(panel, xs, left + 2, across)
    if len(series) > 1:
        named = [(k, s) for k, s in enumerate(series) if s.name]
        signs = [_sign(s) if colours else _LETTERS[k % 26] for k, s in named]
        texts = [f"{sign} {s.name}" for sign, (_, s) in zip(signs, named, strict=True)]
        yield from _wrapped(texts, width, "  ", hidden=len(_sign(series[0])) - 2 if colours else 0)


def _cells(
    panel: Panel, series: Sequence[Series], xs: ChartAxis, ys: ChartAxis, size: tuple[int, int], letters: bool
) -> dict[tuple[int, int], Cell]:
    """Character and colour of every cell that is not empty; of two series in one cell the later is seen."""
    across, height = size
    found: dict[tuple[int, int], Cell] = {}
    for k, one in enumerate(series):
        dots: dict[tuple[int, int], int] = {}
        for part in panel.parts(one):
            places = [(xs.place(x), ys.place(y)) for x, y in part]
            for x, y in _dots(places, one.style):
                cell = min(max(x // 2, 0), across - 1), min(max(y // 4, 0), height - 1)
                dots[cell] = dots.get(cell, 0) | _BITS[y % 4][x % 2]
        for cell, bits in dots.items():
            found[cell] = (_LETTERS[k % 26] if letters else chr(0x2800 + bits), _code(one))
    return found


def _dots(places: Sequence[tuple[float, float]], style: str) -> Iterator[tuple[int, int]]:
    """The dots of a line through points, or of the points alone."""
    for k, (x, y) in enumerate(places):
        yield round(x), round(y)
        if style == "dots" or k + 1 == len(places):
            continue
        u, v = places[k + 1]
        steps = max(1, math.ceil(max(abs(u - x), abs(v - y))))
        for n in range(steps):
            a, b = round(x + (u - x) * n / steps), round(y + (v - y) * n / steps)
            if style != "dashed" or (a + b) // _DOTTED % 2 == 0:
                yield a, b


def _painted(cell: Cell | None, colours: bool) -> str:
    if cell is None:
        return " "
    return f"\033[{cell[1]}m{cell[0]}\033[0m" if colours else cell[0]


def _marks(panel: Panel, xs: ChartAxis, left: int, across: int) -> Iterator[str]:
    """The line of values below the axis, and its name; values that would touch are left out."""
    ticks = [(float(k), text) for k, text in enumerate(panel.marks)]
    line, end = [" "] * across, -1
    for tick, text in ticks or [(t, number(t)) for t in xs.ticks(max(2, across // 7), panel.whole_x)]:
        start = min(max(0, round(xs.place(tick) / 2) - len(text) // 2), across - len(text))
        if start > end:
            line[start : start + len(text)] = text
            end = start + len(text)
    yield " " * left + "".join(line).rstrip()
    yield (" " * left + panel.x.center(across)).rstrip()


def _wrapped(texts: Sequence[str], width: int, indent: str, hidden: int = 0) -> Iterator[str]:
    """Texts beside each other, in as many lines as they need; `hidden` characters of each take no room."""
    line, used = indent, len(indent)
    for text in texts:
        size = len(text) - hidden
        if used > len(indent) and used + 2 + size > width:
            yield line.rstrip()
            line, used = indent, len(indent)
        gap = "  " if used > len(indent) else ""
        line, used = f"{line}{gap}{text}", used + len(gap) + size
    yield line.rstrip()


def _sign(series: Series) -> str:
    """What stands for a series in the legend, in its colour."""
    return f"\033[{_code(series)}m{'╌╌' if series.style == 'dashed' else '──'}\033[0m"


def _code(series: Series) -> int:
    return _COLOURS[series.colour % len(_COLOURS)]
