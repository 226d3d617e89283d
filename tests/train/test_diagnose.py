"""A loss that is not finite: the first layer, weight or input to blame is named, with its place."""

import json

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.source import NetError
from netdsl.train import Listener, Trainer, load_checkpoint
from netdsl.train.diagnose import not_finite

from .nets import TEXT, network, plan


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
    found = not_finite(net.objective, feeds, 6)
    assert found.code == "nan" and found.message.startswith("the loss of step 7 is not finite")
    assert "dense2" in found.message and found.span is not None
    assert found.span.text == "dense"


def test_a_weight():
    net = deep()
    feeds = feeds_of(net)
    feeds["dense3.bias"][1] = np.inf
    found = not_finite(net.objective, feeds, 0)
    assert "the param dense3.bias has values that are not finite" in found.message
    assert found.span is not None and found.span.start == net.source.text.index("dense(3)")


def test_an_input():
    net = deep()
    feeds = feeds_of(net)
    feeds["x"][0, 0] = np.nan
    assert "the input x has values that are not finite" in not_finite(net.objective, feeds, 0).message


def test_the_loss_itself():
    text = TEXT.replace("cross_entropy(logits, label)\n", "mse(logits, target)\n").replace(
        "  metrics = [accuracy(logits, label)]\n", ""
    )
    net = network(text=text, elaborated=8)
    feeds = feeds_of(net)
    feeds["target"][...] = 1e30
    assert "(mse)" in not_finite(net.objective, feeds, 0).message


def test_a_run_that_diverges(tmp_path):
    class Closed(Listener):
        closed = False

        def close(self):
            self.closed = True

    listener = Closed()
    x = np.full((16, 4), 1e30, np.float32)
    data = DataPlan({"train": from_arrays(x, np.arange(16) % 3)})
    net = network(("dense(8) -> tanh", "dense(8) -> batch_norm"), ("lr = 0.1", "lr = 1e30"))
    trainer = Trainer(net, tmp_path, data)
    with pytest.raises(NetError) as caught:
        trainer.fit(listener=listener)
    assert caught.value.diagnostics[0].code == "nan" and listener.closed
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
