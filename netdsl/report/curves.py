"""The curves of training runs as panels: one for each value, a colour for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netdsl.report.canvas import Point
from netdsl.report.plot import COLOURS, Panel, Series


@dataclass(frozen=True)
class Curve:
    """A value of a run over its epochs; `part` is `train`, `validation`, or what else tells its curves apart.

    `colour` counts the curves of one colour; of `train` they are dashed where there is `validation` beside it.
    """

    run: str
    part: str
    points: Sequence[Point]
    colour: int


def smoothed(points: Sequence[Point], weight: float) -> list[Point]:
    """The running mean in which each point counts `weight` times the next; TensorBoard's, without its bias to 0.

    What is not finite is left out of the mean. weight: from 0, which smooths nothing, to below 1.
    """
    total = count = 0.0
    found = []
    for x, y in points:
        if y - y == 0:  # finite
            total, count = weight * total + (1 - weight) * y, weight * count + (1 - weight)
            y = total / count
        found.append((x, y))
    return found


def panels(
    curves: Mapping[str, Iterable[Curve]], x: str, smooth: float = 0.0, log: bool = False
) -> list[Panel]:
    """A panel for each title; names of runs alone where they say enough. With `smooth` what was measured is faint."""
    return [
        Panel(title, x, list(_series(list(found), smooth)), log_y=log, whole_x=True)
        for title, found in curves.items()
    ]


def _series(curves: Sequence[Curve], smooth: float) -> Iterable[Series]:
    runs, parts = {c.run for c in curves}, {c.part for c in curves}
    for curve in curves:
        names = [curve.run] * (len(runs) > 1 or len(parts) == 1) + [curve.part] * (len(parts) > 1)
        name = " ".join(names)
        again = curve.colour // len(COLOURS) % 2 == 1  # the colours come a second time
        style = "dashed" if again or (curve.part == "train" and "validation" in parts) else "line"
        if smooth:
            yield Series("", curve.points, curve.colour, "faint")
            yield Series(name, smoothed(curve.points, smooth), curve.colour, style)
        else:
            yield Series(name, curve.points, curve.colour, style)
