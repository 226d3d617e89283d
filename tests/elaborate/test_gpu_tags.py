"""`@gpu(1)`: what it puts where, in the net, in its gradients and in what trains it."""

import pickle
import re
import warnings

import pytest

from netdsl import passes
from netdsl.autodiff import grad
from netdsl.elaborate import elaborate
from netdsl.ir import Graph
from netdsl.ir.parse import parse_graph
from netdsl.ops import BY_NAME
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.passes.limits import Limits, Plain
from netdsl.primitives import LEAVES, Transfer
from netdsl.source import NetError, NetWarning, Source
from netdsl.syntax.format import format_source
from netdsl.train.sections import training_sections
from netdsl.train.whole_step import step_graph

OPS = {**BY_NAME, **{op.name: op for op in LEAVES}}


def device(gpus):
    """A device that is the first of so many GPUs."""
    return Plain(Limits(gpus=gpus))


TWO = device(2)


def net(body, rest="", blocks="block Tower(c) { in -> conv(c, 3, pad = same) -> batch_norm -> relu }"):
    text = f"{blocks}\nnet N {{\n  input x: [8, 8, 1]\n{body}\n}}\n{rest}"
    return elaborate(Source("net.net", text))


def places(graph: Graph):
    return {n.id: n.gpu for n in graph if n.op.name != "input"}


PLACES = {
    "a layer with its weights": (
        "output y = x -> conv(2, 3, bias = false) @gpu(1) -> relu",
        {"conv1.weight": 1, "conv1": 1, "relu1": None},
    ),
    "a flow": ("output y = (x -> relu -> relu) @gpu(1)", {"relu1": 1, "relu2": 1}),
    "arithmetic and numbers": ("output y = (x * 2 + x) @gpu(1)", {"const": 1, "mul1": 1, "add1": 1}),
    "the inner one counts": (
        "output y = ((x -> relu) @gpu(0) -> relu -> relu @gpu(2)) @gpu(1)",
        {"relu1": 0, "relu2": 1, "relu3": 2},
    ),
    "a function keeps its own": ("f = relu @gpu(2)\n output y = x -> f @gpu(1)", {"relu1": 2}),
    "a merge and its branches": (
        "output y = x -> add { | relu | tanh @gpu(0) } @gpu(1)",
        {"relu1": 1, "tanh1": 0, "add1": 1},
    ),
    "repeat": ("output y = x -> repeat 2 { in -> relu } @gpu(1)", {"relu1": 1, "relu2": 1}),
    "a shared layer": (
        "layer f = conv(1, 3, pad = same, bias = false) @gpu(1)\n output y = x -> f -> relu -> f",
        {"f.weight": 1, "f": 1, "relu1": None, "f_1": 1},
    ),
    "a computed number": ("n = 1\n output y = x -> relu @gpu(n)", {"relu1": 1}),
    "with other tags": (
        'output y = x -> conv(1, 3, bias = false) @freeze @gpu(1) @name("c")',
        {"c.weight": 1, "c": 1},
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_a_tag_puts_where(name):
    body, wanted = PLACES[name]
    assert places(net(body).graph) == wanted


def test_a_block_is_put_with_all_that_is_in_it():
    graph = net("a = x -> Tower(2)\n output y = a -> Tower(2) @gpu(1)").graph
    assert {n.gpu for n in graph if n.id.startswith("tower1")} == {None}
    assert {n.gpu for n in graph if n.id.startswith("tower2")} == {1}
    assert graph["tower2.batch_norm1.running_mean"].gpu == 1


WRONG = {
    "@gpu": "a tag is written @gpu(1)",
    "@gpu(-1)": "@gpu takes the number of a GPU, 0 to 63, not -1",
    "@gpu(64)": "@gpu takes the number of a GPU, 0 to 63, not 64",
    "@gpu(1.0)": "@gpu takes the number of a GPU, 0 to 63, not 1.0",
    "@gpu(true)": "@gpu takes the number of a GPU, 0 to 63, not true",
    '@gpu("1")': '@gpu takes the number of a GPU, 0 to 63, not "1"',
    "@gpu(0, 1)": "a tag is written @gpu(1)",
    "@gpu(1) @gpu(1)": "@gpu is there twice",
    "@gpus(1)": "did you mean @gpu",
    "@device(1)": "did you mean @gpu",
    "@cuda(1)": "did you mean @gpu",
}


@pytest.mark.parametrize("tag", WRONG)
def test_wrong_tags(tag):
    with pytest.raises(NetError, match=re.escape(WRONG[tag])) as caught:
        net(f"output y = x -> relu {tag}")
    assert caught.value.diagnostics[0].span.text.startswith("@")


def test_the_tag_of_a_shared_layer_stands_where_it_is_made():
    with pytest.raises(NetError, match="the tags of a layer are given once"):
        net("layer f = relu\n output y = x -> f @gpu(1)")


def test_it_is_formatted_as_other_tags():
    text = "net N {\n  input x: [4]\n  output y = x -> relu   @gpu( 1 )@freeze\n}\n"
    assert "x -> relu @gpu(1) @freeze\n" in format_source(Source("net.net", text))


def test_the_text_of_a_graph_keeps_it():
    graph = net("output y = x -> Tower(2) @gpu(1)").graph
    assert parse_graph(str(graph), OPS).outputs == graph.outputs
    assert places(parse_graph(str(graph), OPS)) == places(graph)
    assert places(with_batch(graph, 5)) == places(graph)
    with pytest.raises(NetError, match="a GPU has a number up to 63, not 64"):
        parse_graph(str(graph).replace("@gpu(1)", "@gpu(64)"), OPS)


TRAINED = """
train {
  loss = cross_entropy(y, label)
  optimizer = adam(0.1)
  batch = 2
  clip_norm = 1.0
  accumulate = 2
}
data { train = digits.train }
"""


def trained():
    body = "  a = x -> Tower(2)\n  b = x -> Tower(2) @gpu(1)\n"
    body += "  c = (a, b) -> concat -> flatten -> dense(10)\n  output y = c"
    return net(body, TRAINED)


def test_gradients_are_where_what_they_are_of_is():
    objective = expand(trained().objective, training=True)
    weights = [n.id for n in objective.leaves("param")]
    found = grad(objective, "loss", weights)
    for name in weights:
        assert found[found.outputs[f"grad/{name}"].node].gpu == (1 if name.startswith("tower2") else None)
    assert {n.gpu for n in found if n.id.startswith("grad/tower2")} == {1}


def test_what_trains_a_weight_is_where_the_weight_is():
    sections = training_sections(trained())
    graph = step_graph(sections.network.objective, sections.settings)
    for leaf in (*graph.leaves("param"), *graph.leaves("state")):
        assert leaf.gpu == (1 if leaf.id.startswith("tower2") else None), leaf.id
        if leaf.id in graph.updates:
            assert graph[graph.updates[leaf.id].node].gpu == leaf.gpu, leaf.id
    placed = passes.training(TWO).run(graph)
    assert not [n.id for n in placed if not isinstance(n.op, Transfer) and reads_elsewhere(placed, n)]
    crossing = [n.id for n in placed if isinstance(n.op, Transfer)]
    assert all(reads_elsewhere(placed, placed[name]) for name in crossing)
    assert len(crossing) == len({(placed[n].inputs, placed[n].gpu) for n in crossing})


def reads_elsewhere(graph, node):
    return any(graph[v.node].gpu != node.gpu for v in node.inputs)


@pytest.mark.parametrize("pipeline", [passes.inference, passes.training])
def test_a_device_without_the_gpu_computes_all_and_says_so(pipeline):
    graph = expand(trained().graph)
    plain = expand(net(PLAIN, TRAINED).graph)
    for gpus, reason in ((0, "the device is no GPU"), (1, "this machine has 1 GPU")):
        with pytest.warns(NetWarning, match=r"@gpu\(1\) is left out: " + reason):
            found = pipeline(device(gpus)).run(graph)
        assert str(found) == str(pipeline(device(gpus)).run(plain))


@pytest.mark.parametrize("pipeline", [passes.inference, passes.training])
def test_what_is_left_out_is_told_at_the_tag(pipeline):
    network = trained()
    sections = training_sections(network)
    graph = expand(network.graph) if pipeline is passes.inference else _step(sections)
    with pytest.warns(NetWarning) as caught:
        pipeline(device(1)).run(pickle.loads(pickle.dumps(graph)))
    (warning,) = caught
    assert warning.message.diagnostic.span.text == "@gpu(1)"


def _step(sections):
    return step_graph(sections.network.objective, sections.settings)


PLAIN = (
    "  a = x -> Tower(2)\n  b = x -> Tower(2)\n  c = (a, b) -> concat -> flatten -> dense(10)\n  output y = c"
)


def test_without_tags_nothing_is_said_and_nothing_done():
    graph = expand(net(PLAIN, TRAINED).graph)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(passes.inference(TWO).run(graph)) == str(passes.inference(device(0)).run(graph))
