"""Layers in the middle by their names, and gradients of one class, in one call each."""

import numpy as np
import pytest

import netdsl
from netdsl.data import load_split
from netdsl.source import NetError, NetWarning

TEXT = """
block Unit(c) { inner = in -> conv(c, 3, pad = same) -> batch_norm; inner -> tanh }
net N {
  input image: [8, 8, 1]
  low = image -> Unit(4)
  aux head = low -> flatten -> dense(3)
  output logits = low -> Unit(6) -> flatten -> dense(10)
}
train { loss = cross_entropy(logits, label) + 0.3 * cross_entropy(head, label) }
"""


@pytest.fixture
def network(tmp_path):
    (tmp_path / "n.net").write_text(TEXT)
    return netdsl.load(tmp_path / "n.net", batch=3)


IMAGE = load_split("digits", "test")["image"][:3].astype(np.float32) / 16


def conv(x, w, bias):
    """The same convolution by the definition, in float64."""
    padded = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.einsum("nyxcij,ijcf->nyxf", windows, np.float64(w)) + bias


def test_layers_by_the_names_of_reports_and_of_the_text(network):
    program = netdsl.compile(network)
    wanted = ["unit1.conv1", "unit1.inner", "low", "image", "logits"]
    found = program.run({"image": IMAGE}, outputs=wanted)
    assert list(found) == wanted and "unit1.conv1" in {row.name for row in netdsl.summary(network).rows}
    w = program.state_dict()
    wanted = conv(IMAGE, w["unit1.conv1.weight"], w["unit1.conv1.bias"])
    np.testing.assert_allclose(found["unit1.conv1"], wanted, rtol=1e-4, atol=1e-5)
    normal = wanted / np.sqrt(1 + 1e-5)  # fresh statistics: mean 0, variance 1
    np.testing.assert_allclose(found["unit1.inner"], normal, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["low"], np.tanh(normal), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found["image"], IMAGE)
    np.testing.assert_allclose(found["logits"], program.run({"image": IMAGE})["logits"], rtol=1e-5, atol=1e-6)


def test_layers_of_what_was_trained(network, tmp_path):
    """Those of a checkpoint, for samples as they are stored, two heads and all, in batches of any size."""
    digits = load_split("digits", "test")
    arrays = {"image": digits["image"][:70], "label": digits["label"][:70] % 3}
    with pytest.warns(NetWarning, match="none is above 16"):
        netdsl.Trainer(network, tmp_path / "run", data=arrays).fit()
    trained = netdsl.restore(tmp_path / "run" / "last.safetensors")
    image = digits["image"][:70]
    found = trained.run({"image": image}, outputs=["unit1.conv1", "head", "logits"])
    w, pixels = trained.weights, image.astype(np.float64) / 255
    wanted = conv(pixels, w["unit1.conv1.weight"], w["unit1.conv1.bias"])
    np.testing.assert_allclose(found["unit1.conv1"], wanted, rtol=1e-3, atol=1e-4)
    unit = "unit1.batch_norm1"
    scale = w[f"{unit}.weight"] / np.sqrt(np.float64(w[f"{unit}.running_var"]) + 1e-5)
    low = np.tanh((wanted - w[f"{unit}.running_mean"]) * scale + w[f"{unit}.bias"])
    head = low.reshape(70, -1) @ w["dense1.weight"] + w["dense1.bias"]
    np.testing.assert_allclose(found["head"], head, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found["logits"], trained.run({"image": image})["logits"], rtol=1e-3, atol=1e-5)
    with pytest.raises(
        NetError, match=r"no layer or output is called conv1\nhelp: did you mean unit1\.conv1 or"
    ):
        trained.run({"image": image}, outputs="conv1")
    with pytest.raises(TypeError, match="a run takes arrays by name"):
        trained.run(image)


def test_new_weights_hold_for_layers_too(network):
    program = netdsl.compile(network)
    before = program.run({"image": IMAGE}, outputs="unit1.conv1")["unit1.conv1"]
    program.set("unit1.conv1.weight", 2 * program.get("unit1.conv1.weight"))
    after = program.run({"image": IMAGE}, outputs="unit1.conv1")["unit1.conv1"]
    np.testing.assert_allclose(after, 2 * before, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("conv1", "no layer or output is called conv1", "did you mean unit1.conv1 or unit2.conv1?"),
        ("logit", "no layer or output is called logit", "did you mean logits?"),
        ("qqq", "no layer or output is called qqq", "there are image"),
        ("head", "head takes dense1.weight, which no output of the program depends on", "auxiliary heads"),
    ],
)
def test_names_that_are_not_there(network, name, message, fix):
    with pytest.raises(NetError) as caught:
        netdsl.compile(network).run({"image": IMAGE}, outputs=[name])
    found = caught.value.diagnostics[0]
    assert message in found.message and fix in found.fix


def test_feeds_are_checked_as_ever(network):
    program = netdsl.compile(network)
    with pytest.raises(KeyError, match="a run needs image"):
        program.run({}, outputs="low")
    with pytest.raises(ValueError, match="image takes shape"):
        program.run({"image": IMAGE[:1]}, outputs="low")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda p: p.run({"imgae": IMAGE}), "a run takes no imgae\nhelp: did you mean image?"),
        (
            lambda p: p.load_state_dict({**p.state_dict(), "hed": IMAGE}),
            "the program takes no hed\nhelp: it takes",
        ),
        (lambda p: p.load_state_dict({}), "the program needs unit1.conv1.weight, "),
        (
            lambda p: p.get("unit1.conv1.wieght"),
            "help: did you mean unit1.conv1.weight?",
        ),
    ],
)
def test_names_are_told_in_words(network, use, message):
    """For those who catch KeyError too, whose text is else a repr."""
    with pytest.raises(KeyError) as caught:
        use(netdsl.compile(network))
    assert isinstance(caught.value, NetError)
    assert message in str(caught.value)


def test_weights_that_do_not_fit_change_nothing(network):
    program = netdsl.compile(network)
    before = program.state_dict()
    wrong = {name: array + 1 for name, array in before.items()} | {list(before)[-1]: IMAGE}
    with pytest.raises(ValueError, match="takes shape"):
        program.load_state_dict(wrong)
    assert all((program.get(name) == array).all() for name, array in before.items())


def test_arrays_without_a_name(network):
    with pytest.raises(
        TypeError, match=r"a run takes arrays by name, such as {'image': array}, not a ndarray"
    ):
        netdsl.compile(network).run(IMAGE)


def test_the_gradient_of_one_class_against_differences(network):
    program = netdsl.compile(network)
    gradient = network.gradient(of="logits[3]", wrt=["image", "unit1.conv1.weight"], share=program)
    values, found = gradient({"image": IMAGE})
    np.testing.assert_allclose(
        values["logits[3]"][:, 0], program.run({"image": IMAGE})["logits"][:, 3], rtol=1e-4
    )
    assert set(found) == {"image", "unit1.conv1.weight"} and found["image"].shape == IMAGE.shape
    rng = np.random.default_rng(0)
    for _ in range(3):
        step = rng.normal(size=IMAGE.shape).astype(np.float32)
        ends = [
            program.run({"image": IMAGE + s * step})["logits"][:, 3].astype(np.float64) for s in (1e-3, -1e-3)
        ]
        slope = (ends[0] - ends[1]) / 2e-3
        np.testing.assert_allclose((found["image"] * step).sum((1, 2, 3)), slope, rtol=0.05, atol=0.02)
    one_hot = np.tile(np.eye(10, dtype=np.float32)[3], (3, 1))
    _, whole = network.gradient("logits", "image", share=program)({"image": IMAGE}, output_gradient=one_hot)
    np.testing.assert_allclose(whole["image"], found["image"], rtol=1e-4, atol=1e-6)


def test_cells_of_maps(network):
    values, found = network.gradient(of="low[(2, 5, 1)]", wrt="image")({"image": IMAGE})
    assert values["low[(2, 5, 1)]"].shape == (3, 1, 1, 1)
    seen = np.abs(found["image"][..., 0]).sum(0) > 0
    assert not seen[4:].any() and not seen[:1].any() and not seen[:, :4].any() and not seen[:, 7:].any()
    last, same = (
        network.gradient(of=of, wrt="image")({"image": IMAGE})[1]["image"]
        for of in ("logits[-1]", "logits[9]")
    )
    np.testing.assert_array_equal(last, same)
    network.gradient(of="cross_entropy(logits, label) + mse(logits[0], logits[1])", wrt="image")


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("logits[10]", "index 10 of 10 elements"),
        ("logits[0.5]", "the index of this tensor is one whole number"),
        ("low[(1, 2)]", "is one whole number, a channel, or 3, a cell"),
        ("low[(9, 0, 0)]", "index 9 of 8 elements"),
        ("low[1]", "is not one number but"),
        ("logit[3]", "no name is called logit(.|\\n)*did you mean logits"),
    ],
)
def test_what_is_no_cell(network, of, message):
    with pytest.raises(NetError, match=message):
        network.gradient(of=of, wrt="image")({"image": IMAGE})
