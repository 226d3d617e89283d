"""Drawings: what is in them, where it is, and that they need nothing else."""

import itertools
import re
from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.report import draw as drawing
from netdsl.report import summarize
from netdsl.report.draw import draw
from netdsl.report.placement import place
from netdsl.report.units import units_of
from netdsl.source import Source
from netdsl.syntax.read import read_source
from tests.report.drawings import crossed, frames, overlaps, pictures
from tests.report.nets import STAGES

EXAMPLES = Path(__file__).parents[2] / "examples"
BRANCHES = """
block C(c) { in -> conv(c, 1) -> relu }
net Branches {
  input image: [8, 8, 3]
  x = image -> concat { | C(4) | C(4) -> C(4) | max_pool(3, stride = 1, pad = 1) }
  output y = x + (x -> C(11) -> C(11))
}
"""


def drawn(text, form="svg", depth=None, blocks=0):
    network = elaborate(Source("a<b.net", text))
    return draw(summarize(network.name, network.graph), form, depth, blocks)


def titles(svg):
    """The titles of the boxes, part by part."""
    return [picture.titles for picture in pictures(svg)]


def test_every_box_is_there_and_every_flow_an_arrow():
    (picture,) = pictures(drawn(BRANCHES))
    conv, twice = "conv 1x1, relu", "(conv 1x1, relu) x2"
    assert picture.titles == ["image", conv, twice, "max_pool 3x3", "concat", "C 1x1 x2", "add", "y"]
    assert len(picture.lines) == 10


def test_closed_blocks_and_repeated_ones():
    (two,), (one,) = titles(drawn(STAGES, depth=2)), titles(drawn(STAGES, depth=1))
    assert {"conv 3x3 /2", "Unit", "Unit x3", "conv 1x1", "image", "small", "large"} == set(two)
    assert set(one) == set(two) - {"conv 3x3 /2", "Unit", "Unit x3"} | {"Stage"}


def test_equal_branches_are_no_repetition():
    (names,) = titles(drawn(BRANCHES, depth=1))
    assert names.count("C 1x1") == 3 and "C 1x1 x2" in names


def test_a_layer_that_others_finish_is_one_box_with_them():
    text = """net N { input image: [8, 8, 3]
      x = image -> pad(1) -> conv(4, 3) -> batch_norm -> relu -> flatten
      output y = x -> dense(5) -> sigmoid
      output z = x }"""
    (names,) = titles(drawn(text))
    assert names == ["image", "pad", "conv 3x3, batch_norm, relu, flatten", "dense, sigmoid", "y", "z"]


def test_equal_layers_in_a_row_are_one_box():
    text = """net N { input image: [8, 8, 4]
      x = image -> repeat 3 { in -> conv(4, 3, pad = same) -> relu }
      output y = x -> conv(4, 3, pad = same) -> conv(4, 3, pad = same) }"""
    assert titles(drawn(text)) == [["image", "(conv 3x3, relu) x3", "conv 3x3 x2", "y"]]


@pytest.mark.parametrize(
    ("step", "title"),
    [
        ("conv(4, (1, 3), stride = (1, 2))", "conv 1x3 /1x2"),
        ("conv(4, 3, dilation = 2)", "conv 3x3 dilation 2"),
        ("conv(6, 3, groups = 3)", "conv 3x3 depthwise"),
        ("max_pool(2)", "max_pool 2x2 /2"),
        ("max_pool(3, stride = 1)", "max_pool 3x3"),
        ("upsample(2)", "upsample x2"),
    ],
)
def test_titles_say_what_tells_layers_apart(step, title):
    (names,) = titles(drawn(f"net N {{ input image: [8, 8, 3]\n output y = image -> {step} }}"))
    assert names[1] == title


def test_blocks_are_shown_open_beside_the_network():
    _, stage = titles(drawn(STAGES, depth=1, blocks=1))
    assert stage == ["in", "conv 3x3 /2", "Unit"]
    _, _, unit = titles(drawn(STAGES, depth=1, blocks=2))
    assert unit == ["in", "conv 3x3, relu", "conv 3x3", "add, relu"]
    assert len(titles(drawn(STAGES, depth=1, blocks=9))) == 3


def test_the_commonest_form_of_a_block_is_shown():
    text = """block B(n) { in -> conv(4, 1) -> repeat n { in -> conv(2, 1) -> conv(4, 1) } }
    net N { input x: [4, 4, 4]
      output y = x -> B(1) -> B(2) -> relu -> B(2) }"""
    svg = drawn(text, depth=1, blocks=1)
    assert "2 of 3 uses" in svg and len(titles(svg)[1]) == 6


def test_the_inputs_of_a_block_have_their_names_and_several_outputs_are_boxes():
    text = """block B in low, high { (low + high, low - high) }
    net N { input x: [4]
      a, b = (x, x -> relu) -> B
      output y = a * b }"""
    assert titles(drawn(text, depth=1, blocks=1))[1] == ["low", "high", "add", "sub", "out 1", "out 2"]


def test_every_use_of_a_shared_block_is_a_box_of_its_own():
    text = """block E { in -> conv(4, 3) -> conv(4, 3) }
    net N { input left: [8, 8, 1]
      input right: [8, 8, 1]
      layer e = E
      output y = (left -> e) - (right -> e) }"""
    svg = drawn(text, depth=1)
    assert titles(svg) == [["left", "right", "E", "E", "sub", "y"]]
    assert "shared weights" in svg and "shares the weights of e" in svg


def test_a_skip_leaves_the_main_path_straight():
    text = """net N { input image: [8, 8, 4]
      x = image
      for i in 0..3 { x = x + (x -> conv(4, 1) -> tanh -> conv(4, 1)) }
      output y = x }"""
    network = elaborate(Source("n.net", text))
    units, flows = units_of(summarize(network.name, network.graph), None)
    placed = place({u.key: 80.0 for u in units}, [(f.source, f.target) for f in flows])
    assert len({round(x, 6) for x in placed.x.values()}) == 1
    bends = [x for way in placed.ways.values() for _, x in way[1:-1]]
    assert bends and min(bends) > max(placed.x.values()) + 40


@pytest.mark.parametrize("name", ["unet", "googlenet", "retinanet", "densenet", "ssd", "enet", "mask_rcnn"])
def test_lines_run_round_boxes_and_frames_lie_apart(name):
    network = elaborate(read_source(EXAMPLES / f"{name}.net"))
    svg = draw(summarize(network.name, network.graph), "svg", 1, blocks=9)
    assert not [hit for picture in pictures(svg) for hit in crossed(picture)]
    assert not overlaps(frames(svg)) and frames(svg)


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
