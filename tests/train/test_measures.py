"""Losses and metrics over a set, against NumPy in float64, however the set is cut into batches."""

import json
import os
import signal

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.ir import TensorType
from netdsl.ops import LIBRARY
from netdsl.ops.accumulator import Accumulator
from netdsl.ops.initializers import initialize
from netdsl.source import NetError, Source
from netdsl.train import Callback, Evaluator, Trainer, load_checkpoint

BATCHES = (1, 2, 3, 7, 10)
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((10, 4)).astype(np.float32)
MAPS = RNG.standard_normal((10, 5, 3, 2)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 10)
MASKS = np.where(RNG.random((10, 5, 3)) < 0.3, 255, RNG.integers(0, 3, (10, 5, 3)))
MASKS[3] = 255  # a sample of which nothing counts
NUMBERS = RNG.standard_normal((10, 3)).astype(np.float32)
WEIGHTS = np.array([1.0, 10.0, 100.0])
ROW, MAP = "input x: [4]; output y = x -> dense(3)", "input x: [5, 3, 2]; output y = x -> conv(3, 1)"


def network(flow, loss, metrics="", **train):
    train = {"epochs": 1, "batch": 4, "optimizer": "sgd(lr = 1e-30)", **train}
    settings = "; ".join(f"{name} = {value}" for name, value in train.items())
    text = f"net N {{ {flow} }}\ntrain {{ loss = {loss}; metrics = [{metrics}]; {settings} }}"
    return elaborate(Source("n.net", text))


def plan(x, labels, **settings):
    return DataPlan({"train": from_arrays(x, labels), "test": from_arrays(x, labels), **settings})


def logits(x, weights):
    """The network in float64: a dense layer, on the channels of a map where there is one."""
    w = (
        weights["dense1.weight"]
        if "dense1.weight" in weights
        else weights["conv1.weight"].reshape(x.shape[-1], -1)
    )
    bias = next(a for name, a in weights.items() if name.endswith("bias"))
    return x.astype(np.float64) @ w.astype(np.float64) + bias.astype(np.float64)


def surprise(y, labels):
    """-log softmax(y)[label]."""
    log = y - np.log(np.exp(y).sum(-1, keepdims=True))
    return -np.take_along_axis(log, np.where(labels == 255, 0, labels)[..., None], -1)[..., 0]


def hits(y, labels, k=1):
    return (np.argsort(-y, axis=-1)[..., :k] == labels[..., None]).any(-1)


def weighted(y, t):
    return np.average(surprise(y, t), weights=WEIGHTS[t])


def counted(y, t):
    return surprise(y, t)[t != 255].mean()


def both(y, t):
    keep = t != 255
    return np.average(surprise(y, t)[keep], weights=WEIGHTS[t[keep]])


def overlap(y, t):
    p = 1 / (1 + np.exp(-y))
    return (1 - (2 * (p * t).sum(1) + 1) / ((p + t).sum(1) + 1)).mean()


CE, W = "cross_entropy(y, t", "class_weights = [1, 10, 100]"
SETS = {
    "classes": (ROW, ROWS, CLASSES, f"{CE})", lambda y, t: surprise(y, t).mean()),
    "class weights": (ROW, ROWS, CLASSES, f"{CE}, {W})", weighted),
    "ignored cells": (MAP, MAPS, MASKS, f"{CE}, ignore_index = 255)", counted),
    "ignored cells, class weights": (MAP, MAPS, MASKS, f"{CE}, {W}, ignore_index = 255)", both),
    "numbers": (ROW, ROWS, NUMBERS, "mse(y, t)", lambda y, t: ((y - t) ** 2).mean()),
    "a root": (ROW, ROWS, NUMBERS, "sqrt(mse(y, t))", lambda y, t: np.sqrt(((y - t) ** 2).mean())),
    "a quotient": (
        ROW,
        ROWS,
        NUMBERS,
        "mse(y, t) / (1 + mae(y, t))",
        lambda y, t: ((y - t) ** 2).mean() / (1 + np.abs(y - t).mean()),
    ),
    "two losses": (
        MAP,
        MAPS,
        MASKS,
        f"0.5 * {CE}, {W}, ignore_index = 255) + 0.3 * {CE}, ignore_index = 255) - 1",
        lambda y, t: 0.5 * both(y, t) + 0.3 * counted(y, t) - 1,
    ),
    "overlaps": (
        "input x: [4]; output y = x -> dense(3) -> reshape([1, 3])",
        ROWS,
        (NUMBERS > 0).astype(np.float32)[:, None],
        "dice(y, t)",
        lambda y, t: overlap(y[:, None], t),
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_a_loss_over_a_set_is_that_of_numpy_for_any_batch(name):
    flow, x, labels, loss, expected = SETS[name]
    net = network(flow, loss)
    for batch in BATCHES:
        evaluator = Evaluator(net, plan(x, labels), batch)
        program = evaluator.program(batch)
        weights = {n.id: initialize(n, 3) for n in net.graph.leaves("param")}
        program.load_state_dict(weights)
        found = evaluator.run("test")["loss"]
        assert found == pytest.approx(expected(logits(x, weights), labels), rel=1e-6), batch


@pytest.mark.parametrize("name", SETS)
def test_the_mean_of_an_epoch_is_that_of_numpy_for_any_batch(name):
    flow, x, labels, loss, expected = SETS[name]
    for batch in (3, 7):
        trainer = Trainer(network(flow, loss, batch=batch), data=plan(x, labels, drop_last=False))
        weights = trainer.program.state_dict()
        found = trainer.fit()
        value = pytest.approx(expected(logits(x, weights), labels), rel=1e-6)
        assert found.train["loss"] == value and found.test["loss"] == value, batch


@pytest.mark.parametrize("batch", BATCHES)
def test_metrics_count_exactly(batch):
    flow, x, labels, *_ = SETS["ignored cells"]
    same = "ignore_index = 255"
    metrics = f"accuracy(y, t, {same}), top_k_accuracy(y, t, k = 2, {same}), 1 - accuracy(y, t, {same})"
    trainer = Trainer(
        network(flow, f"{CE}, {same})", metrics, batch=batch), data=plan(x, labels, drop_last=False)
    )
    y = logits(x, trainer.program.state_dict())
    kept = labels != 255
    first, second = (hits(y, labels, k)[kept].sum() / kept.sum() for k in (1, 2))
    result = trainer.fit()
    for values in (result.train, result.test):
        assert list(values.values())[1:] == [first, second, 1 - first]


@pytest.mark.parametrize("batch", BATCHES)
def test_what_is_always_right_is_exactly_one(batch):
    labels = ROWS.argmax(-1)
    net = network(
        "input x: [4]; output z = x -> dense(4); output y = x + 0 * z",
        f"{CE})",
        "accuracy(y, t)",
        batch=batch,
    )
    assert Trainer(net, data=plan(ROWS, labels, drop_last=False)).fit().test["accuracy"] == 1.0


def test_a_set_of_which_nothing_counts_is_refused():
    flow, x, labels, loss, _ = SETS["ignored cells"]
    data = plan(x, np.full_like(labels, 255))
    with pytest.raises(NetError, match="every label of the test set is 255"):
        Evaluator(network(flow, loss), data, 4).run("test")


def test_the_best_checkpoint_does_not_depend_on_the_batch(tmp_path):
    """Fails with means of batches, which weigh a mask by its sample and not by its cells."""
    flow, x, labels, loss, _ = SETS["ignored cells, class weights"]
    epochs = {}
    for batch in (1, 3, 10):
        net = network(flow, loss, "accuracy(y, t, ignore_index = 255)", epochs=12, optimizer="sgd(lr = 0.5)")
        net = elaborate(net.source, overrides={"eval.batch": str(batch)})
        data = DataPlan({"train": from_arrays(x, labels), "validation": from_arrays(x[::-1], labels)})
        result = Trainer(net, tmp_path / str(batch), data).fit()
        values = [e.validation["accuracy"] for e in result.history]
        best = load_checkpoint(tmp_path / str(batch) / "best.safetensors").progress
        assert best.epoch == values.index(max(values)) + 1
        epochs[batch] = (best.epoch, values)
    assert len({json.dumps(v) for v in epochs.values()}) == 1


def test_the_best_is_the_smallest_of_a_metric_that_is_a_loss(tmp_path):
    net = network(ROW, "mse(y, t)", "mae(y, t)", epochs=5, optimizer="sgd(lr = 0.2)")
    data = DataPlan({"train": from_arrays(ROWS, NUMBERS), "validation": from_arrays(ROWS, NUMBERS)})
    values = [e.validation["mae"] for e in Trainer(net, tmp_path, data).fit().history]
    assert values.index(min(values)) == 4
    assert load_checkpoint(tmp_path / "best.safetensors").progress.epoch == 5


def test_a_penalty_on_weights_counts_once_for_any_batch():
    for batch in (3, 10):
        net = network(ROW, "mse(y, t) + 0.1 * l2(weights)", batch=batch)
        trainer = Trainer(net, data=plan(ROWS, NUMBERS, drop_last=False))
        weights = trainer.program.state_dict()
        error = ((logits(ROWS, weights) - NUMBERS) ** 2).mean()
        expected = error + 0.1 * (weights["dense1.weight"].astype(np.float64) ** 2).sum()
        result = trainer.fit()
        assert [result.train["loss"], result.test["loss"]] == pytest.approx([expected] * 2, rel=1e-6)


class StopAfter(Callback):
    def __init__(self, steps):
        self.left = steps

    def on_batch_end(self, loop, values):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_the_sums_of_an_epoch_go_on_after_a_resume_bit_for_bit(tmp_path, steps):
    flow, x, labels, loss, _ = SETS["two losses"]
    metrics = "accuracy(y, t, ignore_index = 255)"

    def trainer(out, *callbacks):
        net = network(flow, loss, metrics, batch=3, epochs=2, optimizer="sgd(lr = 0.1)")
        return Trainer(net, tmp_path / out, plan(x, labels, drop_last=False), callbacks=callbacks)

    whole = trainer("a").fit()
    assert trainer("b", StopAfter(steps)).fit().interrupted
    assert trainer("b").fit(resume=True).history == whole.history
    assert (tmp_path / "a/last.safetensors").read_bytes() == (tmp_path / "b/last.safetensors").read_bytes()


def test_every_op_that_makes_one_number_of_a_batch_is_an_accumulator():
    found = set()
    for op in LIBRARY:
        if getattr(op, "takes_weights", False):
            continue  # no batch
        for sample in (s for s in op.samples() if s.error is None and s.data):
            types = [
                TensorType(
                    shape, "i64" if k in sample.integers else "bool" if k in sample.booleans else "f32"
                )
                for k, shape in enumerate(sample.data)
            ]
            if all(t.rank for t in types) and any(not t.rank for t in sample.op.infer(*types)):
                found.add(op)
                assert issubclass(op, Accumulator), op.name
    assert len(found) >= 13


def test_counts_are_whole_numbers():
    """float32 counts no further than 2^24."""
    net = network(MAP, f"{CE}, ignore_index = 255)", "accuracy(y, t, ignore_index = 255)")
    outputs = Evaluator(net, plan(MAPS, MASKS), 2).program(2).outputs
    assert [t.dtype for t in outputs.values()].count("i64") == 3
