"""How a shape came about."""

import re

import pytest

from netdsl.report.explain import explain, find_node, render_steps
from netdsl.source import NetError
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
    return render_steps(explain(graph, find_node(graph, name)))


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


def test_a_name_that_there_is_not():
    with pytest.raises(NetError, match="nothing in the network is called max_pol1"):
        text_of("max_pol1")
