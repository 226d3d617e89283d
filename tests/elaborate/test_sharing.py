"""Layers that share their weights: every use has a path of its own, the weights stand under that of the first."""

import pytest

from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source

#: a net's body behind `input x: [3]`, the paths of the dense layers, and the weight that each of them reads
USES = {
    "one layer": (
        "layer f = dense(3, bias = false)  output y = x -> f -> f -> f",
        {"f": "f", "f_1": "f", "f_2": "f"},
    ),
    "in a block": (
        "layer f = Two  output y = x -> f -> f",
        {"f.dense1": "f.dense1", "f.dense2": "f.dense2", "f_1.dense1": "f.dense1", "f_1.dense2": "f.dense2"},
    ),
    "in a shared block": (
        "layer f = Twice  output y = x -> f -> f",
        {"f.g": "f.g", "f.g_1": "f.g", "f_1.g": "f.g", "f_1.g_1": "f.g"},
    ),
    "given to a shared block": (
        "layer g = dense(3, bias = false)  layer f = With(g)  output y = x -> f -> g -> f",
        {"g": "g", "g_1": "g", "g_2": "g", "f.dense1": "f.dense1", "f_1.dense1": "f.dense1"},
    ),
    "a name that begins as the path of a use": (
        "layer f_1x = dense(3, bias = false)  layer f = With(f_1x)  output y = x -> f -> f",
        {"f_1x": "f_1x", "f_1x_1": "f_1x", "f.dense1": "f.dense1", "f_1.dense1": "f.dense1"},
    ),
    "beside a layer that has the path of a second use": (
        'layer f = dense(3, bias = false)  output y = x -> f -> dense(3, bias = false) @name("f_1") -> f',
        {"f": "f", "f_1": "f_1", "f_2": "f"},
    ),
}
BLOCKS = """
block Two { in -> dense(3, bias = false) -> dense(3, bias = false) }
block Twice { layer g = dense(3, bias = false)
  in -> g -> g }
block With(g) { in -> dense(3, bias = false) -> g }
"""


def network(body):
    text = f"{BLOCKS}net N {{\n input x: [3]\n {body.replace('  ', chr(10))}\n}}\n"
    return elaborate(Source("shared.net", text))


@pytest.mark.parametrize("name", USES)
def test_paths_and_weights(name):
    body, expected = USES[name]
    graph = network(body).graph
    layers = {n.id: n.inputs[1].node.removesuffix(".weight") for n in graph if n.op.name == "dense"}
    assert layers == expected
    assert {n.id for n in graph.leaves("param")} == {f"{path}.weight" for path in expected.values()}


def test_two_layers_of_one_path_are_refused():
    body = 'output y = x -> dense(3) @name("a") -> dense(3) @name("a")'
    with pytest.raises(NetError, match="two things are called a"):
        network(body)


def test_a_use_must_fit_the_shared_weight():
    with pytest.raises(NetError, match=r"the shared weight f.weight is \[3, 5\], here \[5, 5\]"):
        network("layer f = dense(5)  output y = x -> f -> f")
