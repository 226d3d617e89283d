"""How a shape came about."""

import re

import pytest

from netdsl.elaborate import elaborate
from netdsl.report.explain import explain, render_steps
from netdsl.report.names import find_node
from netdsl.source import NetError, Source
from tests.report.nets import graph_of

TEXT = """
net N {
  input image: [224, 224, 3]
  x = image -> conv(64, 7, stride = 2, pad = same) -> relu -> max_pool(3, stride = 2, ceil = true)
  y = x -> concat { | identity | conv(8, 1) }
  output up = y -> conv_transpose(4, 4, stride = 2, pad = 1)
  output logits = y -> flatten -> dense(10)
}
"""


def text_of(name):
    graph = graph_of(TEXT)
    return render_steps(explain(graph, find_node(graph, name)), 200)


def test_every_step_has_its_formula():
    text = text_of("logits")
    assert "height, width: floor((224 + 3 + 3 - 1 * (7 - 1) - 1) / 2) + 1 = 112" in text
    assert "relu1: relu leaves [112, 112, 64]  net.net:4" in text
    assert "height, width: floor((112 + 0 + 0 + 1 - 1 * (3 - 1) - 1) / 2) + 1 = 56, rounded up" in text
    assert "channels: 64 + 8 = 72" in text and "56 * 56 * 72 = 225792" in text
    assert "height: (56 - 1) * 2 + 1 * (4 - 1) + 1 - 1 - 1 + 0 = 112" in text_of("up")


@pytest.mark.parametrize("name", ["conv1", "max_pool1", "concat1", "up", "flatten1"])
def test_formulas_are_right(name):
    """What stands left of each = is what stands right of it."""
    for line in re.findall(r": (.+) = (\d+)", text_of(name)):
        left = line[0].replace("floor(", "(").replace("/", "//")
        assert re.fullmatch(r"[\d+*/() -]+", left) and eval(left) == int(line[1])


BLOCKS = """
block Unit(c) {
  a = in -> conv(c, 3, pad = same)
  b = a -> relu -> pad(1)
  a
}
block Stage(c) { in -> Unit(c) -> Unit(c) -> max_pool(2) }
net N {
  input image: [8, 8, 3]
  x = 0.5 * image -> Stage(4) -> Stage(6)
  output y = x -> global_avg_pool
}
train { loss = mse(y, label) }
"""


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stage1", "stage1.max_pool1"),
        ("stage2.unit1", "stage2.unit1.conv1"),
        ("stage1.unit2.pad1", "stage1.unit2.pad1"),
        ("y", "global_avg_pool1"),
        ("loss", "mse1"),
    ],
)
def test_outputs_layers_and_blocks(name, layer):
    graph = elaborate(Source("net.net", BLOCKS)).objective
    steps = explain(graph, find_node(graph, name))
    assert [steps[0]["name"], steps[1]["name"], steps[-1]["name"]] == ["image", "mul1", layer]


def test_neighbours_that_change_nothing_are_one_line():
    text = TEXT.replace("-> relu ->", "-> relu -> tanh ->")
    steps = explain(graph_of(text), find_node(graph_of(text), "max_pool1"))
    assert "relu1 to tanh1: 2 layers leave [112, 112, 64]  net.net:4" in render_steps(steps, 200)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("max_pol1", "did you mean max_pool1"),
        ("conv1", "did you mean stage1.unit1.conv1, stage1.unit2.conv1, stage2.unit1.conv1 or another of 4"),
        ("stage3", "did you mean stage2"),
        ("zzz", "netdsl shapes lists the layers"),
    ],
)
def test_a_name_that_there_is_not(name, message):
    graph = graph_of(TEXT if name == "max_pol1" else BLOCKS)
    with pytest.raises(NetError, match=f"nothing in the network is called {name}") as caught:
        find_node(graph, name)
    assert message in caught.value.diagnostics[0].render()
