"""Averages of weights: their values, that they are what is evaluated and saved, and statistics made for them."""

import numpy as np
import pytest

from netdsl.train import Callback, Trainer, load_checkpoint
from netdsl.train.average import Ema, Swa
from netdsl.train.schedules import Clock

from .nets import TEXT, arrays, network, plan

NORMED = TEXT.replace("dense(8) -> tanh", "dense(8) -> batch_norm -> tanh")
STATISTICS = ("batch_norm1.running_mean", "batch_norm1.running_var")


class Course(Callback):
    """The weights that learn after every step."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, loop, values):
        found = loop.learner.program.state_dict()
        self.seen.append({n: a.astype(np.float64) for n, a in found.items() if "/" not in n})


def run(average, text=TEXT, folder=None, count=40, **settings):
    course = Course()
    net = network(text=text, average=average, **settings)
    trainer = Trainer(net, folder, plan(count), callbacks=[course])
    return trainer, course.seen, trainer.fit()


@pytest.mark.parametrize(("average", "warm"), [("ema(0.9)", False), ("ema(0.9, warmup = true)", True)])
def test_ema_is_its_formula(average, warm):
    """Statistics are averaged alike."""
    trainer, course, _ = run(average, NORMED)
    mean = course[0]
    for t, now in enumerate(course[1:], start=1):
        decay = min(0.9, 1 - (t + 1) ** (-2 / 3)) if warm else 0.9
        mean = {n: decay * mean[n] + (1 - decay) * now[n] for n in mean}
    for name, array in mean.items():
        np.testing.assert_allclose(trainer.program.get(name), array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("start", "every", "ends"), [(0.5, 1, [2, 3, 4]), (0.0, 2, [0, 2, 4]), (1.0, 1, [4])]
)
def test_swa_is_the_mean_of_the_ends_of_epochs(start, every, ends):
    trainer, course, _ = run(f"swa(start = {start}, every = {every})", epochs=5)
    for name in ("dense1.weight", "dense2.bias"):
        expected = np.mean([course[5 * k + 4][name] for k in ends], axis=0)
        np.testing.assert_allclose(trainer.program.get(name), expected, rtol=1e-5, atol=1e-6)


def batches(loop):
    """The inputs of the epoch just done."""
    return [loop.batches.make(loop.progress.epoch, k)["x"] for k in range(len(loop.batches))]


def test_swa_computes_statistics_anew():
    """The mean over the batches of the last epoch of mean and unbiased variance, in float64."""
    kept = []

    class Look(Callback):
        def on_batch_begin(self, loop):
            if loop.progress.epoch == 3 and loop.progress.batch == 0:
                kept.extend(batches(loop))

    net = network(text=NORMED, average="swa(start = 0.25)", epochs=4)
    trainer = Trainer(net, data=plan(), callbacks=[Look()])
    trainer.fit()
    w, b = (trainer.program.get(f"dense1.{n}").astype(np.float64) for n in ("weight", "bias"))
    values = [x.astype(np.float64) @ w + b for x in kept]
    expected = [
        np.mean([v.mean(axis=0) for v in values], axis=0),
        np.mean([v.var(axis=0, ddof=1) for v in values], axis=0),
    ]
    for name, array in zip(STATISTICS, expected, strict=True):
        np.testing.assert_allclose(trainer.program.get(name), array, rtol=1e-4, atol=1e-5)


@pytest.mark.torch
def test_swa_statistics_are_those_of_update_bn():
    torch = pytest.importorskip("torch")
    kept = []

    class Look(Callback):
        def on_batch_begin(self, loop):
            if loop.progress.epoch == 3 and loop.progress.batch == 0:
                kept.extend(batches(loop))

    trainer = Trainer(network(text=NORMED, average="swa", epochs=4), data=plan(), callbacks=[Look()])
    trainer.fit()
    dense, norm = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8)
    dense.weight.data = torch.tensor(trainer.program.get("dense1.weight").T.copy())
    dense.bias.data = torch.tensor(trainer.program.get("dense1.bias"))
    torch.optim.swa_utils.update_bn([torch.tensor(x) for x in kept], torch.nn.Sequential(dense, norm))
    for name, array in zip(STATISTICS, (norm.running_mean, norm.running_var), strict=True):
        np.testing.assert_allclose(trainer.program.get(name), array.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("average", ["ema(0.95)", "swa(start = 0.25)"])
def test_averages_are_what_is_evaluated_saved_and_run(tmp_path, average):
    trainer, course, result = run(average, NORMED, tmp_path, epochs=4)
    last = load_checkpoint(tmp_path / "last.safetensors").arrays
    trained = course[-1]
    for name, array in trained.items():
        np.testing.assert_array_equal(last[name], trainer.program.get(name))
        np.testing.assert_array_equal(last[f"{name}/trained"], array.astype(np.float32))
    assert any(not np.array_equal(last[n], last[f"{n}/trained"]) for n in trained)
    x, labels = arrays(20, seed=2)
    values = {n: last[n].astype(np.float64) for n in trained}
    hidden = x @ values["dense1.weight"] + values["dense1.bias"]
    mean, var = (values[n] for n in STATISTICS)
    hidden = (hidden - mean) / np.sqrt(var + 1e-5) * values["batch_norm1.weight"] + values["batch_norm1.bias"]
    logits = np.tanh(hidden) @ values["dense2.weight"] + values["dense2.bias"]
    shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert result.test["loss"] == pytest.approx(-shares[np.arange(20), labels].mean(), rel=1e-5)


def test_the_best_epoch_is_that_of_the_averages(tmp_path):
    """The validation values of an epoch are those of the file that is saved then."""
    _, _, result = run("ema(0.9)", NORMED, tmp_path, epochs=4)
    best = load_checkpoint(tmp_path / "best.safetensors")
    found = [e.validation["accuracy"] for e in result.history]
    assert found[best.progress.epoch - 1] == max(found)


def test_weights_that_are_frozen_at_first_are_their_own_average():
    from netdsl.train import Freeze

    net = network(average="ema(0.9)", epochs=1)
    trainer = Trainer(net, data=plan(), callbacks=[Freeze("dense1")])
    before = trainer.program.get("dense1.weight")
    trainer.fit()
    np.testing.assert_array_equal(trainer.program.get("dense1.weight"), before)


def test_a_second_training_starts_from_the_averages():
    trainer, _, _ = run("ema(0.9)", epochs=1)
    between = trainer.program.get("dense1.weight")
    again = Trainer(network(epochs=1, average="ema(0.9)"), data=plan())
    for name in ("dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"):
        again.program.set(name, trainer.program.get(name))
    trainer.fit()
    again.fit()
    np.testing.assert_array_equal(trainer.program.get("dense1.weight"), again.program.get("dense1.weight"))
    assert not np.array_equal(between, trainer.program.get("dense1.weight"))


def test_shares():
    clocks = [Clock(k, 12, 3) for k in range(12)]
    assert [Swa(0.5).share(c) for c in clocks] == [1] * 9 + [0, 0, 0.5]
    assert [Swa(0.5).renews(c) for c in clocks] == [k in (8, 11) for k in range(12)]
    assert [Ema(0.75).share(c) for c in clocks[:3]] == [1.0, 0.25, 0.25]
