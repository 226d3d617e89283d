"""Gradients and products with the Hessian as programs: right for every family of layers, clear where they refuse."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg

import netdsl
from netdsl.data import DataPlan, from_arrays
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.primitives.builder import KEY, random_key
from tests.runtime.gradient_nets import EACH, network, numbers

SEED = 5


@pytest.mark.parametrize("name", EACH)
def test_against_differences(name):
    """Along a direction of each weight and input, in float64 by the forward pass in NumPy alone."""
    net, training = network(name)
    given = net.gradient(training=training)
    wrt = ["weights", *(n for n in given.inputs if n in ("x", "t"))]
    gradient = net.gradient(wrt=wrt, training=training)
    feeds = numbers(gradient)
    values, slopes = gradient(feeds, seed=SEED)
    forward = expand(net.objective, training)
    leaves = {**gradient.state_dict(), **feeds, KEY: random_key(SEED, 0)}
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in leaves.items()}

    def loss(moves):
        return float(
            interpret(forward, {**wide, **{n: wide[n] + m for n, m in moves.items()}}, np.float64).outputs[
                "loss"
            ]
        )

    assert math.isclose(values["loss"], loss({}), rel_tol=1e-5)
    rng = np.random.default_rng(1)
    one, other = ({n: rng.normal(size=a.shape) for n, a in slopes.items()} for _ in range(2))
    for leaf, found in slopes.items():
        move = 1e-6 * one[leaf]
        expected = (loss({leaf: move}) - loss({leaf: -move})) / 2e-6
        assert math.isclose((found * one[leaf]).sum(), expected, rel_tol=2e-3, abs_tol=1e-5), leaf
    products = gradient.hvp(feeds, one, seed=SEED)
    step, expected = 2e-6, 0.0
    for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        expected += s * t * loss({n: step * (s * one[n] + t * other[n]) for n in one}) / (4 * step * step)
    found = sum((products[n] * other[n]).sum() for n in products)
    scale = sum(np.abs(products[n] * other[n]).sum() for n in products)
    assert math.isclose(found, expected, abs_tol=1e-3 * scale + 1e-4)


@pytest.mark.filterwarnings("ignore:.*threads share")
@pytest.mark.parametrize("name", ["norm trained", "max pool"])
def test_the_same_bits_for_any_number_of_threads(name):
    net, training = network(name)
    found = []
    for threads in (1, 2, 3):
        gradient = net.gradient(wrt=["weights", "x"], training=training, threads=threads)
        feeds = {n: np.concatenate([a] * 40) for n, a in numbers(gradient).items()}
        values, slopes = gradient(feeds, seed=SEED)
        found.append(
            {**values, **slopes, **{f"h {n}": a for n, a in gradient.hvp(feeds, slopes, seed=SEED).items()}}
        )
    for other in found[1:]:
        assert all(np.array_equal(other[n], a) for n, a in found[0].items())


NET = """
net N(width = 3) {
  input x: [4]
  h = x -> dense(width) @freeze -> batch_norm -> tanh
  output y = h -> dense(2)
  input z: [2]
  output both = y + z
}
train { loss = mse(y, t) + l2(weights) }
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.net"
    file.write_text(NET)
    return file


@pytest.fixture
def net(path):
    return netdsl.load(path, batch=3)


def test_values_by_name_and_by_expression(net):
    """The same weights, another value each time; batches of any size; by hand."""
    rng = np.random.default_rng(0)
    x, t, z = (rng.normal(size=s).astype(np.float32) for s in ((5, 4), (5, 2), (5, 2)))
    by_loss = net.gradient()
    values, slopes = by_loss({"x": x, "t": t})
    assert list(slopes) == ["batch_norm1.weight", "batch_norm1.bias", "dense2.weight", "dense2.bias"]
    by_y = net.gradient("y", "x")
    assert list(by_y.inputs) == ["x"]
    y = by_y({"x": x}, output_gradient=np.zeros((5, 2)))[0]["y"]
    w = {n: a.astype(np.float64) for n, a in by_loss.state_dict().items()}
    penalty = (w["dense2.weight"] ** 2).sum()
    assert math.isclose(values["loss"], ((y - t) ** 2).mean() + penalty, rel_tol=1e-5)
    h = np.tanh((x @ w["dense1.weight"] + w["dense1.bias"]) / np.sqrt(1 + 1e-5))
    np.testing.assert_allclose(slopes["dense2.bias"], (2 * (y - t)).sum(0) / 10, rtol=1e-4, atol=1e-6)
    expected = h.T @ (2 * (y - t)) / 10 + 2 * w["dense2.weight"]
    np.testing.assert_allclose(slopes["dense2.weight"], expected, rtol=1e-4, atol=1e-6)
    _, others = net.gradient("loss + mse(h -> reduce_mean, 0 * (h -> reduce_mean))", "dense2")(
        {"x": x, "t": t}
    )
    np.testing.assert_allclose(others["dense2.weight"], slopes["dense2.weight"], rtol=1e-6)
    zeros = net.gradient("mse(h, u)")({"x": x, "u": np.zeros((5, 3))})[1]["dense2.weight"]
    assert zeros.shape == (3, 2) and not zeros.any()
    (both,) = net.gradient("both", "z")({"x": x, "z": z}, output_gradient=t)[1].values()
    assert np.array_equal(both, t)


def test_modes_and_seeds():
    """In training dropout drops, by the seed; in inference it does not."""
    net, _ = network("dropped")
    used, trained = net.gradient(), net.gradient(training=True)
    feeds = numbers(used)
    trained.load_state_dict(used.state_dict())
    one, same, other = (trained(feeds, seed=s)[0]["loss"] for s in (1, 1, 2))
    assert one == same != other
    assert used(feeds, seed=1)[0]["loss"] == used(feeds, seed=2)[0]["loss"]


def test_nothing_is_updated():
    net, _ = network("norm trained")
    gradient = net.gradient(training=True)
    feeds, before = numbers(gradient), gradient.state_dict()
    gradient(feeds)
    assert all(np.array_equal(a, before[n]) for n, a in gradient.state_dict().items())


def test_the_weights_of_another_program(net, path):
    """Shared, not copied: what is set there is seen at once."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(8, 4)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)
    network = netdsl.Network(**vars(net))
    shared = network.gradient(share=(program := netdsl.compile(net)))
    first = shared({"x": x, "t": t})[0]["loss"]
    program.set("dense2.bias", program.get("dense2.bias") + 1)
    own = net.gradient()
    own.set("dense2.bias", program.get("dense2.bias"))
    after = shared({"x": x, "t": t})[0]["loss"]
    assert after == own({"x": x, "t": t})[0]["loss"] != first
    wider = netdsl.compile(netdsl.load(path, settings={"width": 4}))
    with pytest.raises(netdsl.NetError, match=r"the program that is shared has no dense1.weight, f32\[4,3\]"):
        net.gradient(share=wider)


def test_the_weights_of_a_trainer(tmp_path):
    """What it learns between two calls is seen."""
    file = tmp_path / "n.net"
    text = "net N { input x: [4]\n output y = x -> dense(3) -> tanh -> dense(2) }\n"
    file.write_text(text + "train { loss = mse(y, t)\n epochs = 2\n batch = 8 }")
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(16, 4)).astype(np.float32), rng.normal(size=(16, 2)).astype(np.float32)
    net = netdsl.load(file)
    trainer = netdsl.Trainer(net, data=DataPlan({"train": from_arrays(x, t)}))
    shared = net.gradient(share=trainer.program)
    before = shared({"x": x, "t": t})[0]["loss"]
    trainer.fit()
    own = net.gradient()
    for name in own.state_dict():
        own.set(name, trainer.program.get(name))
    after = shared({"x": x, "t": t})[0]["loss"]
    assert after == own({"x": x, "t": t})[0]["loss"] != before


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (
            {"wrt": "dense1"},
            "dense1.weight is frozen: it does not learn",
            "name weights that learn, or an input",
        ),
        ({"wrt": "batch_norm1.running_mean"}, "is a statistic, not a weight", None),
        (
            {"wrt": "dense3"},
            "no input, weight or layer with weights is called dense3",
            "did you mean dense2?",
        ),
        ({"wrt": ["x", "conv*"]}, "is called conv*", 'there are x, z, t and "weights"'),
        ({"wrt": []}, "wrt names nothing", '"weights" are all that learn'),
        ({"wrt": "z"}, "loss does not depend on z", None),
        ({"of": "yy"}, "no name is called yy", "did you mean y?"),
        ({"of": "width"}, "`of` is 3, not a tensor", "cross_entropy(logits, label)"),
        ({"of": "argmax(y)"}, "`of` holds integers, which have no gradient", None),
        ({"of": "y -> dense(2)"}, "of.dense1.weight is a weight that the network does not have", None),
        ({"of": "mse(y,"}, "this `(` is never closed", None),
        ({"of": "accuracy(y, label)"}, "has no gradient by batch_norm1.weight", None),
        (
            {"of": "cross_entropy(y, label)", "wrt": "label"},
            "label holds labels, which have no gradient",
            None,
        ),
    ],
)
def test_what_has_no_gradient_is_refused(net, arguments, message, fix):
    with pytest.raises(netdsl.NetError) as caught:
        net.gradient(**arguments)
    (problem,) = caught.value.diagnostics
    assert message in problem.message
    assert fix is None if problem.fix is None else fix is None or fix in problem.fix


def test_arrays_that_do_not_fit_are_refused(net):
    loss, output = net.gradient(), net.gradient("y", "x")
    x, t = np.zeros((3, 4), np.float32), np.zeros((3, 2), np.float32)
    vectors = {n: loss.get(n) for n in loss.wrt}
    calls = [
        (lambda: loss({"x": x}), "the gradient needs t"),
        (lambda: loss({"x": x, "tt": t}), "the gradient takes no tt"),
        (lambda: loss({"x": x[0], "t": t}), r"x takes \[N, 4\], not \[4\]"),
        (lambda: loss({"x": x + 1j, "t": t}), "x takes numbers .* not an array of complex"),
        (lambda: loss({"x": x.astype(str), "t": t}), "x takes numbers"),
        (lambda: loss({"x": x[:2], "t": t}), "the inputs are not one batch of samples"),
        (lambda: loss({"x": x[:0], "t": t[:0]}), "the inputs are not one batch of samples"),
        (
            lambda: loss({"x": x, "t": t}, output_gradient=t),
            "loss is one number and takes no output_gradient",
        ),
        (
            lambda: loss({"x": x, "t": t}, output_gradient=1),
            "loss is one number and takes no output_gradient",
        ),
        (lambda: output({"x": x}), r"y is not one number but numbers \[2\]"),
        (lambda: output({"x": x}, output_gradient=t[:2]), r"output_gradient takes \[3, 2\], not \[2, 2\]"),
        (lambda: loss.hvp({"x": x, "t": t}, {}), "the product needs batch_norm1.weight, batch_norm1.bias"),
        (lambda: loss.hvp({"x": x, "t": t}, {**vectors, "dense2.bias": t}), r"dense2.bias takes \[2\]"),
    ]
    for call, message in calls:
        with pytest.raises(netdsl.NetError, match=message):
            call()
    small = net.gradient(training=True)
    with pytest.raises(netdsl.NetError, match="in a batch of 1 sample"):
        small({"x": x[:1], "t": t[:1]})


@pytest.mark.parametrize("label", [11, -1])
def test_labels_that_have_no_class_are_refused(tmp_path, label):
    file = tmp_path / "n.net"
    file.write_text(
        "net N { input x: [4]\n output y = x -> dense(10) }\ntrain { loss = cross_entropy(y, label) }"
    )
    gradient = netdsl.load(file).gradient()
    x = np.zeros((3, 4), np.float32)
    gradient({"x": x, "label": np.array([0, 1, 9])})
    with pytest.raises(netdsl.NetError, match=f"the batch has the label {label}"):
        gradient({"x": x, "label": np.array([0, 1, label])})


def test_without_a_loss_one_is_given(tmp_path):
    file = tmp_path / "n.net"
    file.write_text("net N { input x: [4]\n output y = x -> dense(3) }")
    net = netdsl.load(file)
    with pytest.raises(netdsl.NetError, match="N has no loss"):
        net.gradient()
    assert "t" in net.gradient("mse(y, t)").inputs


def test_restored_networks(tmp_path):
    """The gradient of a checkpoint is that of its weights, in the range that the network is fed."""
    file = tmp_path / "n.net"
    file.write_text(
        "net N { input x: [4]\n output y = x -> dense(3) }\n"
        "train { loss = mse(y, t)\n epochs = 1\n batch = 8\n optimizer = sgd(lr = 0.1) }"
    )
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(16, 4)).astype(np.float32), rng.normal(size=(16, 3)).astype(np.float32)
    netdsl.Trainer(netdsl.load(file), tmp_path / "run", DataPlan({"train": from_arrays(x, t)})).fit()
    trained = netdsl.restore(tmp_path / "run" / "last.safetensors")
    gradient = trained.gradient("mse(y, t)", ["weights", "x"])
    fed = trained.prepare({"x": x})
    values, slopes = gradient({**fed, "t": t})
    y = trained.run({"x": x})["y"]
    assert math.isclose(values["mse(y, t)"], ((y - t) ** 2).mean(), rel_tol=1e-5)
    np.testing.assert_allclose(
        slopes["dense1.weight"], fed["x"].T @ (2 * (y - t) / y.size), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(netdsl.NetError, match="no name is called logits"):
        trained.gradient("logits")


def test_newtons_method(tmp_path):
    """A step of logistic regression is that of the Hessian in NumPy, and a few end where SciPy's minimum is."""
    file = tmp_path / "n.net"
    file.write_text(
        "net N { input x: [3]\n output y = x -> dense(1) }\n"
        "train { loss = binary_cross_entropy(y, t) + 1e-2 * l2(weights) }"
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    t = (rng.random((50, 1)) < 0.4).astype(float)
    rows, regular = np.c_[x, np.ones(50)], np.array([1, 1, 1, 0])

    def loss(w):
        z = rows @ w
        return np.mean(np.logaddexp(0, z) - z * t[:, 0]) + 1e-2 * (regular * w * w).sum()

    gradient = netdsl.load(file).gradient()
    for name in gradient.wrt:
        gradient.set(name, np.zeros_like(gradient.get(name)))
    assert gradient.wrt == ("dense1.weight", "dense1.bias")

    def parts(w):
        return {"dense1.weight": w[:3, None], "dense1.bias": w[3:]}

    def joined(arrays):
        return np.concatenate([arrays[n].ravel() for n in gradient.wrt]).astype(float)

    feeds, w = {"x": x, "t": t}, np.zeros(4)
    for step in range(6):
        slope = joined(gradient(feeds)[1])
        operator = LinearOperator((4, 4), matvec=lambda v: joined(gradient.hvp(feeds, parts(v))))
        change, _ = cg(operator, -slope, rtol=1e-6)
        if step == 0:  # every probability is 1/2
            hessian = rows.T @ rows / 4 / 50 + 2e-2 * np.diag(regular)
            expected = np.linalg.solve(hessian, -(rows.T @ (0.5 - t[:, 0])) / 50)
            np.testing.assert_allclose(change, expected, rtol=1e-4)
        w = w + change
        for name, part in parts(w).items():
            gradient.set(name, part)
    np.testing.assert_allclose(w, minimize(loss, np.zeros(4), tol=1e-9).x, atol=1e-4)


def test_an_empty_text_is_no_value(net):
    with pytest.raises(netdsl.NetError, match=r"of takes one value|expected"):
        net.gradient("")


def test_seeds_are_whole_numbers_of_any_kind(net):
    for seed in (np.int64(3), np.uint8(3)):
        first, second = (net.gradient(seed=s).state_dict() for s in (3, seed))
        assert all(first[n].tobytes() == second[n].tobytes() for n in first)
    with pytest.raises(TypeError, match="whole number"):
        net.gradient(seed=1.5)
