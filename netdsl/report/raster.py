"""A page of lines, discs and texts as PNG, by Pillow."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from netdsl.extras import need
from netdsl.report.canvas import Canvas, Disc, Point, Stroke, Text

#: pixels of a unit of the page, and how much finer it is drawn before it is made smaller
_SCALE, _FINER = 2, 2
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def png(canvas: Canvas) -> bytes:
    """The page as a PNG; raises NetError where Pillow is missing."""
    library = need("PIL.Image", "pillow", "drawing a PNG", "output")
    draws = need("PIL.ImageDraw", "pillow", "drawing a PNG", "output")
    unit = _SCALE * _FINER
    size = round(canvas.width * unit), round(canvas.height * unit)
    image = library.new("RGB", size, "#ffffff")
    pen = draws.Draw(image)
    for item in canvas.items:
        _draw(pen, item, unit)
    small = image.resize((size[0] // _FINER, size[1] // _FINER), library.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw(pen: Any, item: Stroke | Disc | Text, unit: float) -> None:
    if isinstance(item, Text):
        fonts = need("PIL.ImageFont", "pillow", "drawing a PNG", "output")
        place = (item.x * unit, item.y * unit)
        font = fonts.load_default(item.size * unit)
        pen.text(place, item.text, item.colour, font, anchor=_ANCHORS[item.anchor])
    elif isinstance(item, Disc):
        x, y, r = item.x * unit, item.y * unit, item.radius * unit
        rim = {"outline": item.edge, "width": round(1.5 * unit)} if item.edge else {}
        pen.ellipse((x - r, y - r, x + r, y + r), _paled(item.colour, item.opacity), **rim)
    else:
        width, colour = max(1, round(item.width * unit)), _paled(item.colour, item.opacity)
        for part in _strokes(item.points, item.dash):
            pen.line([(x * unit, y * unit) for x, y in part], colour, width, joint="curve")


def _paled(colour: str, opacity: float) -> str:
    """A colour over white."""
    parts = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(255 - opacity * (255 - part)):02x}" for part in parts)


def _strokes(points: Sequence[Point], dash: tuple[float, float] | None) -> Iterator[Sequence[Point]]:
    """The strokes of a line: all of it where it is not dashed."""
    if dash is None:
        yield points
        return
    period, at = sum(dash), 0.0
    for (x, y), (u, v) in itertools.pairwise(points):
        length, done = math.hypot(u - x, v - y), 0.0
        while done < length:
            inside = at % period < dash[0]
            step = min(length - done, (dash[0] if inside else period) - at % period or period)
            if inside:
                a, b = done / length, (done + step) / length
                yield [(x + a * (u - x), y + a * (v - y)), (x + b * (u - x), y + b * (v - y))]
            at, done = at + step, done + step
