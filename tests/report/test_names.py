"""Names that a text gives to tensors are known to every report."""

import csv
import io

import pytest

from netdsl.elaborate import elaborate, elaborate_partial
from netdsl.report import Selection, render, summarize, to_json
from netdsl.report.draw import draw
from netdsl.report.names import find_node
from netdsl.source import NetError, Source
from tests.report.nets import summary_of

TEXT = """
block Unit(c) {
  shortcut = in
  inner = in -> conv(c, 3, pad = same) -> relu
  inner + shortcut
}
net N {
  input image: [32, 32, 1]
  s2 = image -> conv(6, 5) -> tanh -> avg_pool(2)
  c3 = s2 -> conv(16, 5) -> tanh
  p[3] = c3 -> Unit(16) -> Unit(16)
  p[("deep", 4)] = p[3] -> max_pool(2)
  x = p[3]
  for i in 0..2 { x = x -> Unit(16) }
  a, b = x -> split(2)
  same = a
  output y = same -> flatten -> dense(3)
}
train { loss = mse(y, target) }
"""


def found(name, text=TEXT):
    network = elaborate(Source("net.net", text))
    return find_node(network.objective or network.graph, name, network.names).id


def listed(find, text=TEXT):
    return [line.row.name for line in Selection(find=find).lines(summary_of(text))]


@pytest.mark.parametrize(
    "name, node",
    [
        ("s2", "avg_pool1"),
        ("c3", "tanh2"),
        ("p[3]", "unit2.add1"),
        ('p[("deep", 4)]', "max_pool1"),
        ("x", "unit4.add1"),
        ("a", "split1"),
        ("b", "split1"),
        ("same", "split1"),
        ("y", "dense1"),
        ("unit1.inner", "unit1.relu1"),
        ("unit2.shortcut", "unit1.add1"),
        ("unit3", "unit3.add1"),
        ("loss", "mse1"),
    ],
)
def test_what_a_name_stands_for(name, node):
    assert found(name) == node


def test_a_layer_comes_before_a_name():
    text = "net N { input i: [8, 8, 1]\n conv1 = i -> conv(2, 3) -> relu\n output y = conv1 }"
    assert found("conv1", text) == "conv1" and found("relu1", text) == "relu1"


@pytest.mark.parametrize(
    "name, hint",
    [
        ("innner", "netdsl shapes lists the layers"),
        ("inner", "did you mean unit1.inner, unit2.inner, unit3.inner or another of 4?"),
        ("sames", "did you mean same?"),
        ("tanh22", "did you mean tanh2?"),
    ],
)
def test_a_name_that_there_is_not(name, hint):
    with pytest.raises(NetError) as caught:
        found(name)
    assert caught.value.diagnostics[0].fix == hint
    with pytest.raises(ValueError, match=f"nothing in the network is called {name}; ") as wrong:
        listed(name)
    assert str(wrong.value).endswith(hint)


@pytest.mark.parametrize(
    "name, layers",
    [
        ("c3", ["conv2", "tanh2"]),
        ("name=c3", ["conv2", "tanh2"]),
        ("s2", ["conv1", "tanh1", "avg_pool1"]),
        ("x", [f"unit{k}.{layer}" for k in (3, 4) for layer in ("conv1", "relu1", "add1")]),
        ('p[("deep", 4)]', ["max_pool1"]),
        ("unit1", ["unit1.conv1", "unit1.relu1", "unit1.add1"]),
        ("unit1.inner", ["unit1.conv1", "unit1.relu1"]),
        ("name=*.inner", [f"unit{k}.{layer}" for k in (1, 2, 3, 4) for layer in ("conv1", "relu1")]),
        ("y", ["flatten1", "dense1"]),
        ("image", ["image"]),
        ("conv1", ["conv1"]),
    ],
)
def test_the_layers_of_a_name(name, layers):
    assert listed(name) == layers


def column(selection, form="csv"):
    rows = csv.DictReader(io.StringIO(render(summary_of(TEXT), form, "shapes", selection)))
    return {row["layer"]: row["names"] for row in rows if row["names"]}


def test_names_stand_where_they_belong():
    outside = {
        "avg_pool1": "s2",
        "tanh2": "c3",
        "max_pool1": 'p[("deep", 4)]',
        "split1": "a b same",
        "dense1": "y",
    }
    assert column(Selection(depth=1)) == {**outside, "unit1": "p[3]", "unit3": "x"}
    inner = {f"unit{k}.relu1": "inner" for k in (1, 2, 3, 4)}
    assert column(Selection(expand=True)) == {**outside, **inner, "unit2": "p[3]", "unit4": "x"}
    assert column(Selection(find="unit2")) == {"unit2.relu1": "unit2.inner", "unit2.add1": "p[3]"}


def test_the_column_of_names_is_the_first_to_go_and_not_there_without_names():
    assert "name\n" in render(summary_of(TEXT), "table", "params", width=200)
    narrow = render(summary_of(TEXT), "table", "params", width=60)
    assert "not shown at this width: FLOPs, name" in narrow.replace("\n", " ")
    plain = "net N { input i: [8, 8, 1]\n output y = i -> relu }\n"
    summary = summary_of(plain)
    (line,) = Selection(find="op=input").lines(summary)
    assert line.names == () and "name" not in render(summary, "table", "shapes", Selection(find="op=input"))


def test_json_and_drawings_have_names():
    summary = summary_of(TEXT)
    rows = {row["name"]: row for row in to_json(summary)["rows"]}
    assert rows["tanh2"]["names"] == ("c3",) and rows["conv2"]["part_of"] == ("c3",)
    assert "called c3" in draw(summary, "svg") and "called a, b, same" in draw(summary, "dot").replace(
        "\\n", " "
    )


def test_names_up_to_a_mistake():
    text = TEXT.replace("tanh\n  p", "conv(1, 99)\n  p")
    network, problems = elaborate_partial(Source("net.net", text))
    rows = summarize(network.name, network.graph, network.names).rows
    assert problems and {r.name: r.names for r in rows if r.names} == {"avg_pool1": ("s2",)}
