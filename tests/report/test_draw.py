"""Drawings: what is in them, where it is, and that they need nothing else."""

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from netdsl.elaborate import elaborate
from netdsl.report import draw as drawing
from netdsl.report import summarize
from netdsl.report.draw import draw
from netdsl.report.layout import place
from netdsl.report.units import units_of
from netdsl.source import Source
from tests.report.nets import STAGES

SVG = "{http://www.w3.org/2000/svg}"
BRANCHES = """
block C(c) { in -> conv(c, 1) -> relu }
net Branches {
  input image: [8, 8, 3]
  x = image -> concat { | C(4) | C(4) -> C(4) | max_pool(3, stride = 1, pad = 1) }
  output y = x + (x -> C(11) -> C(11))
}
"""


def drawn(text, form="svg", depth=None):
    network = elaborate(Source("a<b.net", text))
    return draw(summarize(network.name, network.graph), form, depth)


def boxes(svg):
    groups = ET.fromstring(svg).findall(f"{SVG}g")
    return {
        tuple(t.text for t in g.findall(f"{SVG}text")): [
            float(g.find(f"{SVG}rect").get(k)) for k in ("x", "y", "width", "height")
        ]
        for g in groups
    }


def test_every_layer_is_a_box_and_every_flow_an_arrow():
    svg = drawn(BRANCHES)
    root = ET.fromstring(svg)
    assert len(root.findall(f"{SVG}g")) == 12
    assert len(root.findall(f"{SVG}path")) == 14


def test_closed_blocks_and_repeated_ones():
    titles = {title for title, _ in boxes(drawn(STAGES, depth=2))}
    assert {"conv 3x3 /2", "Unit", "Unit x3", "conv 1x1", "image", "small", "large"} == titles
    assert {title for title, _ in boxes(drawn(STAGES, depth=1))} == titles - {
        "conv 3x3 /2",
        "Unit",
        "Unit x3",
    } | {"Stage"}


def test_equal_branches_are_no_repetition():
    network = elaborate(Source("n.net", BRANCHES))
    units, flows = units_of(summarize(network.name, network.graph), 1)
    assert [u.title for u in units].count("C") == 3 and "C x2" in [u.title for u in units]
    assert len(flows) == 11


@pytest.mark.parametrize("depth", [1, 2, None])
@pytest.mark.parametrize("text", [STAGES, BRANCHES])
def test_boxes_do_not_overlap_and_flows_go_down(text, depth):
    network = elaborate(Source("n.net", text))
    units, flows = units_of(summarize(network.name, network.graph), depth)
    placed = place({u.key: 80.0 for u in units}, [(f.source, f.target) for f in flows])
    for f in flows:
        assert placed.layer[f.source] < placed.layer[f.target]
        assert [layer for layer, _ in placed.ways[f.source, f.target]] == list(
            range(placed.layer[f.source], placed.layer[f.target] + 1)
        )
    for layer in set(placed.layer.values()):
        xs = sorted(placed.x[key] for key, at in placed.layer.items() if at == layer)
        assert all(b - a >= 80 for a, b in itertools.pairwise(xs))


def test_the_same_drawing_twice():
    assert drawn(BRANCHES) == drawn(BRANCHES)


def test_html_opens_alone_and_names_are_escaped():
    page = drawn(BRANCHES, "html")
    assert page.startswith("<!DOCTYPE html>") and "a&lt;b.net" in page
    assert not re.search(r"(src|href)=", page)


def test_dot_names_every_box():
    text = drawn(BRANCHES, "dot", depth=1)
    assert text.startswith('digraph "Branches" {') and text.count("->") == 11


def test_too_many_boxes(monkeypatch):
    monkeypatch.setattr(drawing, "MAX_BOXES", 5)
    with pytest.raises(ValueError, match="--depth shows blocks closed"):
        drawn(BRANCHES)
