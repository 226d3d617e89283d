"""Settings far from usual: batches larger than the set, rates beyond float32, eps of 0, labels that do not count."""

import warnings

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Trainer
from netdsl.train.schedules import Clock, StepDecay

TEXT = """net Small {{ input image: [4]; output logits = image -> dense(3) }}
train {{ loss = cross_entropy(logits, label{ignore}); epochs = 4; batch = {batch}; {more} }}
eval {{ batch = {evaluated} }}
"""
RNG = np.random.default_rng(0)
SAMPLES, LABELS = RNG.random((9, 4), np.float32), np.arange(9) % 3


def trainer(samples=SAMPLES, labels=LABELS, batch=3, evaluated=3, more="", ignore="", **settings):
    text = TEXT.format(batch=batch, evaluated=evaluated, more=more, ignore=ignore)
    train = from_arrays(samples, labels)
    test = from_arrays(SAMPLES[:5], LABELS[:5])
    plan = DataPlan({"train": train, "test": test, **settings})
    return Trainer(elaborate(Source("small.net", text)), data=plan)


def test_a_batch_larger_than_the_set_is_the_set():
    """The loss of the epoch is that of nine samples at once, by NumPy."""
    made = trainer(batch=10**9, evaluated=10**9, drop_last=False, shuffle=False)
    weight, bias = (made.program.get(f"dense1.{name}").astype(np.float64) for name in ("weight", "bias"))
    found = made.fit()
    logits = SAMPLES @ weight + bias
    want = (np.log(np.exp(logits).sum(1)) - logits[np.arange(9), LABELS]).mean()
    assert found.history[0].train["loss"] == pytest.approx(want, rel=1e-5)
    weight, bias = (made.program.get(f"dense1.{name}").astype(np.float64) for name in ("weight", "bias"))
    logits = SAMPLES[:5] @ weight + bias
    want = (np.log(np.exp(logits).sum(1)) - logits[np.arange(5), LABELS[:5]]).mean()
    assert found.test["loss"] == pytest.approx(want, rel=1e-5)
    batch = made.data.evaluation_batches("test", 10**9).make(0, 0)
    assert batch["image"].shape == (5, 4)


@pytest.mark.parametrize(
    ("schedule", "lr", "epoch"),
    [
        ("step(every = 1, factor = 1e30)", 0.01, 3),  # 1e28, 1e58
        ("step(every = 2, factor = 1e38)", 10.0, 3),  # 1e39
        ("step(milestones = [1, 3], factor = 1e30)", 0.01, 4),
        ("step(every = 1, factor = 1e10)", 0.01, None),  # 1e28 at last
    ],
)
def test_a_rate_beyond_float32(schedule, lr, epoch):
    made = f"schedule = {schedule}; optimizer = sgd(lr = {lr})"
    if epoch is None:
        trainer(more=made)
        return
    with pytest.raises(
        NetError, match=f"the learning rate of epoch {epoch} is not a number that float32 holds"
    ) as e:
        trainer(more=made)
    assert e.value.diagnostics[0].span.text.startswith("step(")


def test_a_rate_beyond_float64():
    step = StepDecay(every=1, factor=1e38)
    assert step.at(1.0, Clock(20, 21, 1)) == (np.inf, None)
    with pytest.raises(ValueError, match="of epoch 2 is not"):
        step.check(10.0, 21)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_no_eps_and_no_gradient(optimizer):
    with pytest.raises(NetError, match="without eps the update there is 0/0"), warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer(samples=np.zeros((9, 4), np.float32), more=f"optimizer = {optimizer}(eps = 0)").fit()


def test_labels_that_never_count():
    with pytest.raises(NetError, match="every label of the train set is 255, which counts nowhere"):
        trainer(labels=np.full(9, 255), ignore=", ignore_index = 255").fit()
