"""What changed between two networks."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.elaborate import elaborate
from netdsl.ir import Graph
from netdsl.report import summarize
from netdsl.report.align import align
from netdsl.report.diff import diff
from netdsl.report.diff_text import diff_json, render_diff
from netdsl.source import Source
from tests.report.nets import STAGES, graph_of

BASE = "net N { input x: [8]\n output y = x -> dense(4) -> relu -> dense(2) }"
SKIP = """
block Unit(c) { in -> conv(c, 3, pad = same) -> relu }
net N {
  input image: [8, 8, 4]
  a = image -> Unit(4)
  b = a -> Unit(4)
  c = b -> Unit(4)
  d = c + a
  e = c - d
  output logits = e -> global_avg_pool -> dense(10)
}
train {
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1)
  epochs = 3
}
"""


def network(text):
    return elaborate(Source("net.net", text))


def compare(before, after):
    return diff(network(before), network(after))


def changes(before, after):
    """Layers with what changed, own changes first."""
    return [
        (c.kind, (c.after or c.before).name, [*c.what, *c.follows]) for c in compare(before, after).changes
    ]


def text_of(before, after, width=100):
    return render_diff(compare(before, after), width).splitlines()[2:]


@pytest.mark.parametrize("text", [BASE, STAGES, SKIP])
def test_the_same_network_has_not_changed(text):
    assert text_of(text, text) == ["  the same layers, outputs, settings and counts"]


def test_a_setting_and_what_follows_from_it():
    assert changes(BASE, BASE.replace("dense(4)", "dense(5)")) == [
        ("changed", "dense1", ["units 4 -> 5", "[4] -> [5]", "36 -> 45 params", "32 -> 40 MACs"]),
        ("changed", "relu1", ["[4] -> [5]"]),
        ("changed", "dense2", ["10 -> 12 params", "8 -> 10 MACs"]),
    ]
    assert changes(SKIP, SKIP.replace("pad = same", "pad = same, pad_mode = wrap"))[0] == (
        "changed",
        "unit1.conv1",
        ["pad_mode zeros -> wrap"],
    )


def test_a_layer_that_came_and_one_that_went():
    longer = BASE.replace("relu ->", "relu -> dropout(0.5) ->")
    assert changes(BASE, longer) == [("added", "dropout1", [])]
    assert changes(longer, BASE) == [("removed", "dropout1", [])]
    assert text_of(BASE, longer) == [
        "+ dropout1: dropout [4], reads relu1",
        "  elements of results: 10 -> 14 (+4)",
    ]


def test_a_layer_that_is_another_one_now():
    """What stands in front of a tanh starts with smaller weights than in front of a relu."""
    assert text_of(BASE, BASE.replace("relu", "tanh")) == [
        "~ dense1: weight starts as glorot_uniform instead of he_normal",
        "- relu1: relu [4], reads dense1",
        "+ tanh1: tanh [4], reads dense1",
    ]


def test_a_layer_in_the_middle_changes_nothing_behind_it():
    deep = BASE.replace("relu", " -> ".join(["dense(4) -> relu"] * 5))
    longer = deep.replace("dense(4) ->", "dense(4) -> dense(4, bias = false) ->", 1)
    assert text_of(deep, longer)[:2] == [
        "+ dense2: dense [4], 16 params, reads dense1",
        "  6 layers are called otherwise, as dense2 is dense3 now",
    ]


def test_a_skip_connection_from_elsewhere():
    assert text_of(SKIP, SKIP.replace("c + a", "c + b")) == [
        "~ add1: reads unit2.relu1 instead of unit1.relu1"
    ]
    assert text_of(SKIP, SKIP.replace("c + a", "image + c")) == [
        "~ add1: reads image instead of unit3.relu1; reads unit3.relu1 instead of unit1.relu1"
    ]


def test_operands_in_another_order():
    assert text_of(SKIP, SKIP.replace("c - d", "d - c")) == [
        "~ sub1: reads add1, unit3.relu1 instead of unit3.relu1, add1"
    ]


def test_more_operands_and_fewer():
    three = SKIP.replace("c + a", "add(c, b, a)")
    assert text_of(SKIP, three)[0] == "~ add1: also reads unit2.relu1 as operand 2; 256 -> 512 FLOPs"
    assert text_of(three, SKIP)[0] == "~ add1: no longer reads unit2.relu1; 512 -> 256 FLOPs"


def test_constants_and_results_by_number():
    text = "net N { input x: [8]\n a, b = x -> split(2)\n output y = 2 * a + b }"
    assert text_of(text, text.replace("2 *", "3 *")) == ["~ mul1: reads 3.0 instead of 2.0"]
    assert text_of(text, text.replace("a + b", "b + a")) == [
        "~ mul1: reads result 2 of split1 instead of result 1 of split1",
        "~ add1: reads result 1 of split1 instead of result 2 of split1",
    ]


def test_a_layer_that_only_some_read():
    """The new layer says what it reads; who reads it is said where not all do that read the same before."""
    after = SKIP.replace("b = a", "t = a -> tanh\n b = t")
    assert text_of(SKIP, after)[:2] == [
        "+ tanh1: tanh [8, 8, 4], reads unit1.relu1",
        "~ unit2.conv1: reads tanh1 instead of unit1.relu1",
    ]
    everywhere = SKIP.replace("a = image -> Unit(4)", "a = image -> Unit(4) -> tanh")
    assert text_of(SKIP, everywhere)[0] == "+ tanh1: tanh [8, 8, 4], reads unit1.relu1"
    assert "reads tanh1" not in "".join(text_of(SKIP, everywhere))


def test_a_layer_that_moved():
    assert text_of(BASE, BASE.replace("dense(4) -> relu", "relu -> dense(4)")) == [
        "~ relu1: reads x instead of dense1; [4] -> [8]",
        "~ dense1: reads relu1 instead of x; weight starts as glorot_uniform instead of he_normal",
        "~ dense2: reads dense1 instead of relu1",
        "  FLOPs: 90 -> 94 (+4)",
        "  elements of results: 10 -> 14 (+4)",
    ]


def test_statements_in_another_order_are_no_change():
    text = """net N { input x: [8, 8, 4]\n a = x -> conv(2, 3)\n b = x -> conv(3, 1)
    output y = a -> flatten\n output z = b -> flatten }"""
    other = text.replace(
        "a = x -> conv(2, 3)\n b = x -> conv(3, 1)", "b = x -> conv(3, 1)\n a = x -> conv(2, 3)"
    )
    assert text_of(text, other) == ["  2 layers are called otherwise, as conv2 is conv1 now"]


def test_outputs():
    two = BASE.replace("output y = x -> dense(4)", "h = x -> dense(4)\n output y = h")
    assert text_of(two, two.replace("output y", "output logits")) == ["~ output y: called logits now"]
    also = two.replace(" }", "\n output hidden = h }")
    assert text_of(two, also) == ["+ output hidden: reads dense1"]
    assert text_of(also, two) == ["- output hidden: read dense1"]
    assert text_of(also, also.replace("output hidden", "aux hidden")) == [
        "~ output hidden: there in training only"
    ]
    assert text_of(two, two.replace("relu -> dense(2)", "relu -> dense(2) -> softmax"))[:2] == [
        "+ softmax1: softmax [2], reads dense2",
        "~ output y: reads softmax1 instead of dense2",
    ]
    assert text_of(SKIP, SKIP.replace("= e -> global_avg_pool", "= d -> global_avg_pool"))[0] == (
        "~ global_avg_pool1: reads add1 instead of sub1"
    )


def test_inputs():
    assert text_of(BASE, BASE.replace("input x", "input z").replace("= x", "= z")) == [
        "~ z: called z instead of x"
    ]
    assert text_of(SKIP, SKIP.replace("image: [8, 8, 4]", "image: [16, 16, 4]"))[:2] == [
        "~ image: [8, 8, 4] -> [16, 16, 4]",
        "~ unit1: Unit, 2 layers follow; [8, 8, 4] -> [16, 16, 4]; 9,216 -> 36,864 MACs",
    ]


def test_weights():
    text = "net N { input x: [4]\n layer f = dense(4)\n output y = x -> f -> relu -> f }"
    own = text.replace("relu -> f", "relu -> dense(4)")
    assert text_of(text, own)[0].startswith(
        "~ dense1 (was f_1): weights of its own instead of the weights of f; 0 -> 20 params"
    )
    assert text_of(BASE, BASE.replace("dense(4)", "dense(4) @freeze"))[0] == "~ dense1: frozen"
    assert text_of(BASE, BASE.replace("dense(4)", "dense(4) @lr(0.1)")) == [
        "~ dense1: learning rate x0.1 instead of x1"
    ]
    assert text_of(BASE, BASE.replace("dense(4)", "dense(4) @gpu(1)")) == [
        "~ dense1: on GPU 1 instead of the device"
    ]


def test_settings_are_told_as_the_language_writes_them():
    text = """net N(act = relu, width = 4, last = none) { input x: [8]
      output y = x -> dense(width) -> act }
    data { train = csv("a.csv", target = "b") }"""
    after = text.replace("relu", "leaky_relu(0.2)").replace("none", "[1, true]").replace('"b"', '"c"')
    assert [line for line in text_of(text, after) if " set " in line] == [
        "~ set act: relu -> leaky_relu(0.2)",
        "~ set last: none -> [1, true]",
        '~ set data.train: csv("a.csv", target = "b") -> csv("a.csv", target = "c")',
    ]


def test_training():
    after = SKIP.replace("lr = 0.1", "lr = 0.2, momentum = 0.9").replace("  epochs = 3\n", "")
    assert text_of(SKIP, after) == [
        "~ set train.optimizer: sgd(lr = 0.1) -> sgd(lr = 0.2, momentum = 0.9)",
        "- set train.epochs: 3",
    ]
    assert text_of(SKIP, SKIP.replace("cross_entropy(logits, label)", "hinge(logits, label)"))[-3:] == [
        "- cross_entropy1: cross_entropy [], reads dense1, label",
        "+ hinge1: hinge [], reads dense1, label",
        "~ output loss: reads hinge1 instead of cross_entropy1",
    ]


def test_a_block_that_came_is_one_line():
    lines = text_of(STAGES, STAGES.replace("Stage(3, 8)", "Stage(4, 8)"))
    assert lines[0] == "+ stage2.unit4: Unit, 5 layers, [8, 8, 8], 1,168 params"
    assert lines[1] == "  params: 5,516 -> 6,684 (+1,168)"


def test_long_lines_are_broken():
    lines = text_of(BASE, BASE.replace("dense(4)", "dense(5)"), width=40)
    assert lines[:2] == ["~ dense1: units 4 -> 5; [4] -> [5];", "      36 -> 45 params; 32 -> 40 MACs"]


def test_json_has_rows_words_and_places():
    data = diff_json(compare(BASE, BASE.replace("dense(4)", "dense(5)")))
    first = data["changes"][0]
    assert first["before"]["params"] == 36 and first["after"]["span"]["line"] == 2
    assert first["what"] == ["units 4 -> 5"] and first["after"]["reads"] == ["x"]
    assert data["totals"]["params"] == {"before": 46, "after": 57}
    data = diff_json(compare(BASE, BASE.replace("output y", "output z")))
    assert data["outputs"] == [{"kind": "changed", "name": "y", "what": "called z now"}]


@given(st.integers(0, 10**9))
def test_an_order_that_keeps_the_graph_is_no_change(seed):
    """Layers in any other topological order, under any other names, are found again."""
    graph, rng = graph_of(SKIP), random.Random(seed)
    left, order, known = list(graph), [], set()
    while left:
        ready = [n for n in left if all(v.node in known for v in n.inputs)]
        node = rng.choice(ready)
        left.remove(node)
        order.append(node)
        known.add(node.id)
    mixed = summarize("n", Graph(order, graph.outputs, scopes=graph.scopes)).rows
    rows = summarize("n", graph).rows
    assert align(rows, mixed) == {r.name: r.name for r in rows}
