"""Charts of series: where points are, what is marked, gaps, and the same picture in three forms."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from netdsl.report.chart_axis import ChartAxis
from netdsl.report.curves import Curve, panels, smoothed
from netdsl.report.plot import COLOURS, Panel, Series, plot
from netdsl.report.plot_text import plot_text
from netdsl.report.raster import png

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("axis", "most", "ticks"),
    [
        (ChartAxis(0, 10, 0, 1), 5, [0, 2, 4, 6, 8, 10]),
        (ChartAxis(0.91, 0.98, 0, 1), 8, [0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98]),
        (ChartAxis(-3, 3, 0, 1), 4, [-2, 0, 2]),
        (ChartAxis(0.1, 1000, 0, 1, log=True), 6, [0.1, 1, 10, 100, 1000]),
        (ChartAxis(1, 30, 0, 1, log=True), 8, [1, 2, 5, 10, 20]),
        (ChartAxis(4, 6, 0, 1, log=True), 4, [4, 4.5, 5, 5.5, 6]),
        (ChartAxis(1e-30, 1, 0, 1, log=True), 4, [1e-30, 1e-22, 1e-14, 1e-6]),
    ],
)
def test_what_is_marked(axis, most, ticks):
    assert axis.ticks(most) == pytest.approx(ticks)


def test_places():
    assert ChartAxis(10, 20, 100, 200).place(15) == pytest.approx(150)
    assert ChartAxis(10, 20, 200, 100).place(12) == pytest.approx(180)
    assert ChartAxis(1, 100, 0, 1, log=True).place(10) == pytest.approx(0.5)
    one = ChartAxis.around([3.0], 0, 1)
    assert one.low < 3 < one.high


def panel(*series, **more):
    return Panel("loss", "epoch", series, **more)


def test_points_are_where_the_axes_say_and_gaps_are_left():
    points = [(1, 1.0), (2, 2.0), (3, float("nan")), (4, 3.0), (5, 4.0), (6, float("inf")), (7, 2.5)]
    root = ET.fromstring(plot([panel(Series("a", points), Series("b", points, 1, "dashed"))]).svg())
    lines = [e for e in root.iter(f"{SVG}polyline") if e.get("stroke") == COLOURS[0]]
    # The sample of the legend, the two parts; the last point alone is a dot.
    assert len(lines) == 3 and len([*root.iter(f"{SVG}circle")]) == 2
    (x1, y1), (x2, y2) = [tuple(map(float, p.split(","))) for p in lines[1].get("points").split()]
    (x4, y4), (x5, y5) = [tuple(map(float, p.split(","))) for p in lines[2].get("points").split()]
    assert x2 - x1 == pytest.approx(x5 - x4, abs=0.2) and x4 - x2 == pytest.approx(2 * (x2 - x1), abs=0.3)
    assert y1 - y2 == pytest.approx(y2 - y4, abs=0.2) and y4 > y5
    assert [t.text for t in root.iter(f"{SVG}text")][:2] == ["a", "b"]
    assert any(e.get("stroke-dasharray") for e in root.iter(f"{SVG}polyline"))


def test_what_a_logarithm_has_no_place_for_is_a_gap():
    series = Series("a", [(1, 10.0), (2, 0.0), (3, -1.0), (4, 1e-3)])
    root = ET.fromstring(plot([panel(series, log_y=True)]).svg())
    assert len([*root.iter(f"{SVG}circle")]) == 2
    with pytest.raises(ValueError, match="nothing to draw"):
        plot([panel(Series("a", [(1, -1.0)]), log_y=True)])


def test_names_of_runs_are_no_markup():
    ET.fromstring(plot([panel(Series("<&>", [(1, 1), (2, 2)]), Series("b", [(1, 1)]))]).svg())


def test_png_is_the_same_picture():
    canvas = plot([panel(Series("a", [(1, 1.0), (2, 5.0)]), Series("b", [(1, 1.0), (2, 5.0)], 1, "dashed"))])
    image = np.asarray(Image.open(io.BytesIO(png(canvas))).convert("RGB")).astype(int)
    assert image.shape == (round(2 * canvas.height), round(2 * canvas.width), 3)
    drawn = next(i for i in canvas.items if getattr(i, "dash", 0) is None and i.colour == COLOURS[0])
    colour = np.array([int(COLOURS[0][k : k + 2], 16) for k in (1, 3, 5)])
    (x, y), (u, _) = drawn.points[0], drawn.points[-1]
    assert np.abs(image[round(2 * y), round(x + u)] - colour).max() < 40
    orange = np.array([int(COLOURS[1][k : k + 2], 16) for k in (1, 3, 5)])
    assert 50 < (np.abs(image - orange).max(axis=2) < 40).sum() < 5000


@pytest.mark.parametrize("width", [40, 60, 120])
@pytest.mark.parametrize("colours", [False, True])
def test_in_a_terminal_nothing_is_wider_than_the_page(width, colours):
    runs = [Series(f"runs/a-long-name-{k}", [(n, n**k) for n in range(1, 20)], k) for k in range(5)]
    lines = plot_text([panel(*runs)], width, 12, colours)
    plain = [re.sub(r"\x1b\[\d+m", "", line) for line in lines]
    assert max(map(len, plain)) <= width
    assert ("\x1b" in "".join(lines)) == colours
    assert all(s.name in "\n".join(plain) for s in runs)
    assert plain[0] == "  loss" and [line.strip() for line in plain if line.strip() == "epoch"]


def test_a_rising_line_rises_in_a_terminal():
    lines = plot_text([panel(Series("a", [(0, 0.0), (10, 10.0)]))], 40, 10, colours=False)
    rows = [[x for x, c in enumerate(line) if "⠀" < c <= "⣿"] for line in lines]
    middles = [sum(row) / len(row) for row in rows if row]
    assert len(middles) == 10 and middles == sorted(middles, reverse=True)
    assert max(middles) > 34 and min(middles) < 8


def test_smoothing_is_a_mean_without_bias():
    points = [(1, 4.0), (2, 0.0), (3, float("nan")), (4, 0.0)]
    found = smoothed(points, 0.5)
    assert found[0][1] == 4 and found[1][1] == pytest.approx(4 * 0.25 / 0.75)
    assert found[2][1] != found[2][1] and found[3][1] == pytest.approx(4 * 0.125 / 0.875)
    assert smoothed(points[:2], 0.0) == points[:2]


def test_names_in_the_legend():
    one = [Curve("a", part, [(1, 1.0)], 0) for part in ("train", "validation")]
    two = [Curve(run, "train", [(1, 1.0)], k) for k, run in enumerate("ab")]
    named = panels({"loss": one, "accuracy": two, "lr": one + two}, "epoch")
    assert [[s.name for s in p.series] for p in named] == [
        ["train", "validation"],
        ["a", "b"],
        ["a train", "a validation", "a train", "b train"],
    ]
