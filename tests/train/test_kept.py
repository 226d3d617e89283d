"""Arrays that callbacks keep in checkpoints: restored bit for bit, and refused where they do not fit."""

import re

import numpy as np
import pytest

from netdsl.source import NetError
from netdsl.train import Callback, Trainer, load_checkpoint

from .nets import network, plan


class Mean(Callback):
    """The mean of a weight over all steps, the losses in float64 and how often it was called."""

    def __init__(self, weight="dense1.weight"):
        self.weight = weight

    def on_train_begin(self, loop):
        self.mean = np.zeros(loop.learner.shapes()[self.weight], np.float32)
        self.losses, self.count = np.zeros(3), np.zeros((), np.int64)

    def on_batch_end(self, loop, values):
        self.count += 1
        self.mean += (loop.learner.program.get(self.weight) - self.mean) / np.float32(self.count)
        self.losses[loop.progress.epoch] += values["loss"]

    def state(self):
        return {"mean": self.mean, "losses": self.losses, "count": self.count}

    def load_state(self, arrays):
        self.mean, self.losses, self.count = arrays["mean"], arrays["losses"], arrays["count"]


class Stop(Callback):
    def __init__(self, step):
        self.at = step

    def on_batch_end(self, loop, values):
        if loop.progress.step == self.at:
            loop.stop()


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_a_resumed_run_keeps_the_same_bits(tmp_path, stop):
    def run(folder, *more, resume=False):
        callbacks = [Mean(), Mean("dense2.bias"), *more]
        Trainer(network(), tmp_path / folder, plan(), callbacks=callbacks).fit(resume=resume)
        return callbacks

    whole = run("a")
    run("b", Stop(stop))
    resumed = run("b", resume=True)
    for name in ("last", "best"):
        assert (tmp_path / "a" / f"{name}.safetensors").read_bytes() == (
            tmp_path / "b" / f"{name}.safetensors"
        ).read_bytes()
    for a, b in zip(whole, resumed, strict=True):
        for name, array in a.state().items():
            np.testing.assert_array_equal(b.state()[name], array)
    assert int(resumed[0].count) == 15


def test_the_names_are_no_weights(tmp_path):
    Trainer(network(epochs=1), tmp_path, plan(), callbacks=[Mean(), Mean("dense2.bias")]).fit()
    arrays = load_checkpoint(tmp_path / "last.safetensors").arrays
    assert {n for n in arrays if n.startswith("callback/")} == {
        f"callback/{kind}/{name}" for kind in ("Mean", "Mean2") for name in ("mean", "losses", "count")
    }
    assert arrays["callback/Mean/count"].dtype == np.int64


class Other(Mean):
    pass


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        ([], [Mean()], r"has no callback/Mean/mean: it was written without this callback Mean"),
        ([Mean()], [], r"keeps callback/Mean/count, of a callback Mean that this training does not have so"),
        ([Mean()], [Other()], r"keeps callback/Mean/count, of a callback Mean"),
        (
            [Mean()],
            [Mean("dense2.bias")],
            r"has float32 \[4, 8\] as callback/Mean/mean, where this training keeps float32 \[3\]",
        ),
        ([Mean(), Mean()], [Mean()], "keeps callback/Mean2/count"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_lost(tmp_path, then, now, message):
    Trainer(network(epochs=1), tmp_path, plan(), callbacks=then).fit()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(NetError, match=message) as caught:
        Trainer(network(epochs=2), tmp_path, plan(), callbacks=now).fit(resume=True)
    assert "give the callbacks that it was written with" in caught.value.diagnostics[0].fix
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_no_checkpoint_holds_is_refused_at_the_start(tmp_path):
    class Half(Mean):
        def state(self):
            return {"x": np.zeros(3, np.float16)}

    with pytest.raises(
        TypeError, match=re.escape("Half.state gives float16 as x: checkpoints hold float32,")
    ):
        Trainer(network(), tmp_path, plan(), callbacks=[Half()]).fit()


def test_a_state_that_nobody_takes_back_is_refused():
    with pytest.raises(TypeError, match="Mine has state, and no load_state to go on from it"):
        type("Mine", (Callback,), {"state": lambda self: {}})
