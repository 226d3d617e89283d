"""Names that users choose: none collides with those netdsl makes itself, and all survive every form of a network."""

import re

import numpy as np
import onnxruntime
import pytest

from netdsl.cli.main import main
from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.interop.onnx import to_onnx
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.ops.initializers import initialize
from netdsl.source import NetError, Source
from netdsl.train import Trainer

#: names of leaves and outputs of steps, of nodes that expansions and passes make, and of ONNX nodes
INTERNAL = [
    "key",
    "random",
    "train",
    "lr",
    "momentum",
    "rate",
    "step",
    "loss",
    "metric",
    "label",
    "weight",
    "bias",
    "running_mean",
    "const",
    "const_0",
    "map",
    "reduce",
    "contract",
    "reshape",
    "grad",
    "update",
    "add_1",
    "Conv_0",
    "Gemm_0",
    "Transpose_1",
    "args",
    "x",
    "y",
    "graph",
    "param",
    "end",
    "conv1",
    "dense1",
    "x_1",
    "return_",
    "self",
    "best",
    "last",
    "f32",
    "array",
    "inf",
]


def run(*words):
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    assert not end.value.code


def text(name, others):
    """A net with this input, all other names as layers, outputs and a head."""
    layers = "\n".join(f"  layer {n} = dense(3)" for n in others)
    outputs = "\n".join(f"  output {n} = flat -> {n}" for n in others[1:])
    return f"""
net N {{
  input {name}: [6, 6, 2]
{layers}
  flat = {name} -> conv(3, 3) -> batch_norm @name("bn") -> relu -> dropout(0.2, monte_carlo = true) -> flatten
{outputs}
  aux {others[0]} = flat -> {others[0]}
  output {name} = flat -> dense(3) @name("fc")
}}
train {{
  loss = cross_entropy({name}, target) + 0.1 * cross_entropy({others[0]}, target)
  metrics = [accuracy({name}, target)]
  optimizer = sgd(lr = 0.1, momentum = 0.9)
  epochs = 1
  batch = 4
}}
"""


def data():
    rng = np.random.default_rng(0)
    return DataPlan(
        {"train": from_arrays(rng.random((8, 6, 6, 2), np.float32), np.arange(8) % 3), "test": None}
        | {"validation": 0.5, "shuffle": False}
    )


@pytest.mark.parametrize("name", ["key", "loss", "label"])
def test_names_of_steps_are_free(name, tmp_path):
    """A net that uses them all is trained, saved, gone on with and run."""
    others = [n for n in ("loss", *INTERNAL) if n != name]
    others = list(dict.fromkeys(others))
    network = elaborate(Source("n.net", text(name, others)), batch=4)
    Trainer(network, tmp_path, data=data()).fit()
    longer = text(name, others).replace("epochs = 1", "epochs = 2")
    trained = Trainer(elaborate(Source("n.net", longer), batch=4), tmp_path, data=data()).fit(resume=True)
    assert [e.epoch for e in trained.history] == [1, 2]
    assert set(trained.validation) == {"loss", "accuracy"}
    np.save(tmp_path / "x.npy", np.ones((2, 6, 6, 2), np.float32))
    run("run", tmp_path / "last.safetensors", tmp_path / "x.npy", "--out", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as found:
        assert set(found.files) == {name, *others[1:]}
        assert all(np.isfinite(found[n]).all() for n in found.files)


def test_onnx_has_room_for_every_name():
    inputs = "\n".join(f"  input {n}: [4]" for n in INTERNAL)
    outputs = "\n".join(f"  output {n} = a + {n}" for n in INTERNAL)
    source = f"""net N {{
  input image: [6, 6, 2]
{inputs}
  a = conv(image, 3, 3) @name("é") -> tanh -> flatten -> dense(4)
{outputs}
  output b = a
}}"""
    graph = elaborate(Source("n.net", source)).graph
    rng = np.random.default_rng(1)
    feeds = {n.id: initialize(n, 0) for n in graph if n.op.name in ("param", "state")}
    feeds |= {n.id: rng.random(n.types[0].shape, np.float32) for n in graph.leaves("input")}
    session = onnxruntime.InferenceSession(to_onnx(graph).SerializeToString())
    assert [o.name for o in session.get_outputs()] == [*(f"{n}/output" for n in INTERNAL), "b"]
    expected = interpret(expand(graph), feeds).outputs
    for array, wanted in zip(session.run(None, feeds), expected.values(), strict=True):
        np.testing.assert_allclose(array, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["é", "Größe", "слой", "層", "x²", "ª", "٣", "_", "1", "a" * 100])
def test_any_name_that_check_accepts_survives(name, tmp_path, capsys):
    file, model = tmp_path / "n.net", tmp_path / "n.netdsl"
    file.write_text(
        f'net N {{\n  input x: [6, 6, 2]\n  output y = x -> conv(3, 3) @name("{name}") -> relu -> flatten\n}}\n',
        encoding="utf-8",
    )
    run("check", file)
    run("compile", file, "-o", model)
    np.save(tmp_path / "x.npy", np.ones((2, 6, 6, 2), np.float32))
    run("run", model, tmp_path / "x.npy", "--out", tmp_path / "y.npz")
    run("draw", file, "-o", tmp_path / "n.svg")
    run("draw", file, "-o", tmp_path / "n.dot")
    assert name in (tmp_path / "n.svg").read_text("utf-8") and name in (tmp_path / "n.dot").read_text("utf-8")
    capsys.readouterr()
    run("params", file)
    assert name[:20] in re.sub(r"\s+", "", capsys.readouterr().out)
    to_onnx(elaborate(Source("n.net", file.read_text("utf-8"))).graph)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "",
        "a b",
        "a.b",
        "a/b",
        "x:1",
        "%",
        "é\\n",
        "e\N{COMBINING ACUTE ACCENT}",
        "\N{GREEK SMALL LETTER ALPHA}\N{ZERO WIDTH SPACE}",
    ],
)
def test_names_that_are_none(name):
    with pytest.raises(NetError, match="@name takes 1 to 200 letters, digits and _ in quotes, not "):
        elaborate(
            Source("n.net", f'net N {{\n  input x: [6]\n  output y = x -> dense(3) @name("{name}")\n}}')
        )


NAMED = [
    ('conv(x, 4, 3) @name("foo")', {"foo.weight", "foo.bias"}),
    ('(x -> conv(4, 3) @name("foo"))', {"foo.weight", "foo.bias"}),
    ('x -> B @name("foo")', {"foo.conv1.weight", "foo.conv1.bias"}),
    ('B(x) @name("foo")', {"foo.conv1.weight", "foo.conv1.bias"}),
    (
        'x -> concat { | conv(4, 3) @name("foo") | conv(2, 3) @name("bar") } @name("cat")',
        {"foo.weight", "bar.bias"},
    ),
    ('x -> add { | relu @name("r") | tanh } @name("sum")', {"sum", "r", "tanh1"}),
    ('add(x, x) @name("sum") -> relu @name("r")', {"sum", "r"}),
    ('conv(x, 4, 3) @name("conv1") -> conv(4, 3)', {"conv1.weight", "conv2.weight"}),
]


@pytest.mark.parametrize("flow, names", NAMED)
def test_a_name_reaches_its_layer(flow, names):
    source = f"block B {{ in -> conv(4, 3) }}\nnet N {{\n  input x: [8, 8, 2]\n  output y = {flow}\n}}"
    assert names <= {n.id for n in elaborate(Source("n.net", source)).graph}


REFUSED = [
    ('output y = (x -> conv(4, 3) -> relu) @name("foo")', "@name is for one op, block or merge"),
    ('output y = (x + x) @name("foo")', "@name is for one op, block or merge"),
    ('output y = x -> repeat 2 { in -> relu } @name("foo")', "@name is for one op, block or merge"),
    ('output y = x -> relu @name("x")', "two things are called x"),
    ('output y = x -> relu @name("foo") -> tanh @name("foo")', "two things are called foo"),
    ('output y = x -> relu -> tanh @name("relu1")', "two things are called relu1"),
    ("output y = x -> relu\n  input relu1: [3]", "two things are called relu1"),
    ("input x: [3]\n  output y = x", "two things are called x"),
    ("layer x = relu\n  output y = x", "two things are called x"),
    ('layer a = conv(4, 3) @name("foo")\n  output y = x -> a', "this layer is called a already"),
    ('layer a = conv(4, 3)\n  output y = x -> a @name("foo")', "the tags of a layer are given once"),
    ("layer a = conv(4, 3)\n  output y = x -> a @freeze", "the tags of a layer are given once"),
    ('layer a = conv(2, 1)\n  output y = x -> conv(2, 1) @name("a") -> a', "two things are called a"),
    ("n = 3 @freeze\n  output y = x -> conv(n, 3)", "a tag stands behind a layer, a block or a flow, not"),
    ('n = len([1]) @name("foo")\n  output y = x -> conv(n, 3)', "a tag stands behind a layer"),
]


@pytest.mark.parametrize("lines, message", REFUSED)
def test_names_without_a_layer_and_names_twice(lines, message):
    with pytest.raises(NetError, match=re.escape(message)) as caught:
        elaborate(Source("n.net", f"net N {{\n  input x: [8, 8, 2]\n  {lines}\n}}"))
    assert caught.value.diagnostics[0].span is not None


def test_a_label_called_as_a_layer():
    source = """net N {
  input x: [4]
  output y = x -> dense(3) @name("label")
}
train {
  loss = cross_entropy(y, label)
}"""
    with pytest.raises(NetError, match="two things are called label"):
        elaborate(Source("n.net", source))


def test_free_numbers_are_taken():
    source = "net N {\n  input conv1: [8, 8, 2]\n  output y = conv1 -> conv(2, 3) -> conv(2, 3)\n}"
    names = [n.id for n in elaborate(Source("n.net", source)).graph]
    assert {"conv2", "conv2.weight", "conv3"} < set(names) and "conv1.weight" not in names
