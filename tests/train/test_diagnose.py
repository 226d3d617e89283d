"""A loss that is not finite: the first layer, weight or input to blame is named, with its place."""

import json

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Callback, Trainer, load_checkpoint
from netdsl.train.diagnose import not_finite
from netdsl.train.optimizers import Sgd
from netdsl.train.recipe import Recipe
from netdsl.train.step import HYPER, training_graph

from .nets import TEXT, network, plan

SGD = Sgd(lr=0.1)


def found_in(net, feeds, number=0):
    graph = training_graph(net.objective, Recipe(SGD))
    scalars = {HYPER + name: np.float32(value) for name, value in SGD.scalars(0, 0.1, None).items()}
    return not_finite(net.objective, graph, {**feeds, **scalars}, number)


def feeds_of(net):
    rng = np.random.default_rng(0)
    feeds = {}
    for leaf in net.objective:
        t = leaf.types[0]
        if leaf.op.name in ("param", "state", "input"):
            feeds[leaf.id] = np.zeros(t.shape, int) if t.dtype == "i64" else rng.random(t.shape, np.float32)
    return feeds


def deep():
    text = TEXT.replace("dense(8) -> tanh", "dense(8) -> relu -> dense(8) -> relu")
    return network(text=text, elaborated=8)


def test_the_first_layer_that_overflows():
    net = deep()
    feeds = feeds_of(net)
    feeds["dense2.weight"][...] = 3e38
    found = found_in(net, feeds, 6)
    assert found.code == "nan" and found.message.startswith("the loss of step 7 is not finite")
    assert "dense2" in found.message and found.span is not None
    assert found.span.text == "dense"


def test_a_weight():
    net = deep()
    feeds = feeds_of(net)
    feeds["dense3.bias"][1] = np.inf
    found = found_in(net, feeds)
    assert "the param dense3.bias has values that are not finite" in found.message
    assert found.span is not None and found.span.start == net.source.text.index("dense(3)")


def test_an_input():
    net = deep()
    feeds = feeds_of(net)
    feeds["x"][0, 0] = np.nan
    assert "the input x has values that are not finite" in found_in(net, feeds).message


def test_the_loss_itself():
    text = TEXT.replace("cross_entropy(logits, label)\n", "mse(logits, target)\n").replace(
        "  metrics = [accuracy(logits, label)]\n", ""
    )
    net = network(text=text, elaborated=8)
    feeds = feeds_of(net)
    feeds["target"][...] = 1e30
    assert "(mse)" in found_in(net, feeds).message


def test_a_run_that_diverges(tmp_path):
    class Closed(Callback):
        closed = False

        def close(self):
            self.closed = True

    closed = Closed()
    x = np.full((16, 4), 1e30, np.float32)
    data = DataPlan({"train": from_arrays(x, np.arange(16) % 3)})
    net = network(("dense(8) -> tanh", "dense(8) -> batch_norm"), ("lr = 0.1", "lr = 1e30"))
    trainer = Trainer(net, tmp_path, data, callbacks=[closed])
    with pytest.raises(NetError) as caught:
        trainer.fit()
    assert caught.value.diagnostics[0].code == "nan" and closed.closed
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "error" and last["message"] == caught.value.diagnostics[0].message
    kept = load_checkpoint(tmp_path / "last.safetensors").arrays
    assert all(np.isfinite(a).all() for a in kept.values())


def test_a_validation_loss_may_be_infinite(tmp_path):
    net = network(("dense(8) -> tanh", "dense(8)"), ("[accuracy(logits, label)]", "[]"))
    huge = from_arrays(np.full((8, 4), 3e38, np.float32), np.arange(8) % 3)
    result = Trainer(net, tmp_path, plan(validation=huge)).fit()
    assert not np.isfinite(result.validation["loss"])
    assert not (tmp_path / "best.safetensors").exists()
    load_checkpoint(tmp_path / "last.safetensors")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["validation"] == {"loss": None}


GRADIENT = "step 1 would make {} not finite: the first gradient that is not finite comes from {}"
VALUE = "step 1 would make {} not finite: the first value that is not finite comes from {}"
LARGE = "step 1 would make {} not finite: its gradient is finite, the step is too large"
LINE = """
net Line {{ input x: [2]; output y = x -> {flow} }}
train {{ loss = {loss}; optimizer = {optimizer}; batch = 8; epochs = 2 }}
"""


@pytest.mark.parametrize(
    ("flow", "loss", "optimizer", "x", "t", "message", "place"),
    [
        # The root of 0 has the gradient infinity, times 0.
        (
            "dense(1, init = zeros)",
            "sqrt(mse(y, t))",
            "sgd",
            1.0,
            0.0,
            GRADIENT.format("dense1.bias", "sqrt1 (sqrt)"),
            "sqrt",
        ),
        ("dense(1)", "mse(y, t)", "sgd(lr = 1e38)", 1.0, 9.0, LARGE.format("dense1.bias"), "dense"),
        (
            "dense(1)",
            "mse(y, t)",
            "sgd(lr = 1e38, momentum = 0.9)",
            1.0,
            9.0,
            LARGE.format("dense1.bias or dense1.bias/momentum"),
            "dense",
        ),
        (
            "dense(1)",
            "1e25 * mae(y, t)",
            "adam",
            1.0,
            9.0,
            LARGE.format("dense1.bias or dense1.bias/mean or dense1.bias/square"),
            "dense",
        ),
        # A variance that overflows makes outputs of 0, and a fine loss.
        (
            "batch_norm -> dense(1)",
            "mse(y, t)",
            "sgd",
            1e25,
            1.0,
            VALUE.format("batch_norm1.running_var", "batch_norm1 (batch_norm)"),
            "batch_norm",
        ),
        (
            "dense(1) @freeze",
            "mse(y, t)",
            "sgd",
            1e25,
            1.0,
            "the loss of step 1 is not finite: the first value",
            "mse",
        ),
    ],
)
@pytest.mark.parametrize("clip", ["", "clip_norm = 1e30"])
def test_a_step_that_is_not_finite_changes_nothing(
    tmp_path, flow, loss, optimizer, x, t, message, place, clip
):
    text = LINE.format(flow=flow, loss=loss, optimizer=f"{optimizer}; {clip}")
    rng = np.random.default_rng(0)
    inputs = (x * rng.uniform(0.5, 1.0, (16, 2))).astype(np.float32)
    data = DataPlan({"train": from_arrays(inputs, np.full((16, 1), t, np.float32))})
    trainer = Trainer(elaborate(Source("line.net", text)), tmp_path, data)
    before = trainer.program.state_dict()
    with pytest.raises(NetError) as caught:
        trainer.fit()
    (found,) = caught.value.diagnostics
    if clip and "1e25" in loss:
        message, place = "the norm of all gradients of step 1, which clip_norm bounds, is not finite", None
    assert found.code == "nan" and message in found.message
    assert (found.span.text if found.span else None) == place
    after = trainer.program.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    saved = load_checkpoint(tmp_path / "last.safetensors")
    assert saved.progress.step == 0 and all(np.isfinite(a).all() for a in saved.arrays.values())
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["event"] == "error"
    with pytest.raises(NetError) as again:
        Trainer(elaborate(Source("line.net", text)), tmp_path, data).fit(resume=True)
    assert again.value.diagnostics[0].message == found.message


@pytest.mark.parametrize("name", ["dense1.weight", "dense2.bias", "dense1.weight/momentum"])
def test_nothing_that_is_not_finite_is_saved(tmp_path, name):
    trainer = Trainer(network(), tmp_path, plan())
    with pytest.raises(NetError):
        trainer.callbacks.append(Poison(trainer, name))
        trainer.fit()
    saved = load_checkpoint(tmp_path / "last.safetensors").arrays
    assert all(np.isfinite(a).all() for a in saved.values())


class Poison(Callback):
    """Makes a value NaN behind the trainer's back."""

    def __init__(self, trainer, name):
        self.trainer, self.name = trainer, name

    def on_batch_end(self, loop, values):
        if loop.progress.step == 5:
            self.trainer.program.set(self.name, np.full_like(self.trainer.program.get(self.name), np.nan))
