"""Balanced classes against NumPy in float64: scikit-learn's formula, PyTorch's weighted mean."""

import numpy as np
import pytest

from netdsl.data import DataPlan
from netdsl.elaborate import elaborate
from netdsl.source import Source
from netdsl.train import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
RARE = np.repeat([0, 1, 2], [40, 15, 5])
SOME = np.repeat([0, 1, 3], [40, 15, 5])


def network(loss, out):
    text = f"net N {{ input x: [4]; output y = x -> dense({out}) }}\n"
    text += f"train {{ loss = {loss}; batch = 60; epochs = 1; optimizer = sgd(lr = 1e-30) }}"
    return elaborate(Source("n.net", text))


def trained(loss, out, labels, **settings):
    """The loss of training, that of the test set, and the logits."""
    data = DataPlan({"train": {"x": X, "t": labels}, "test": {"x": X, "t": labels}, "shuffle": False,
                     "class_weights": "balanced", "normalize": "raw", **settings})  # fmt: skip
    trainer = Trainer(network(loss, out), data=data)
    w = {n: np.float64(a) for n, a in trainer.program.state_dict().items()}
    result = trainer.fit()
    return result.train["loss"], result.test["loss"], X @ w["dense1.weight"] + w["dense1.bias"]


@pytest.mark.parametrize("labels", [RARE, SOME])
def test_classes_weigh_the_same(labels):
    loss, plain, y = trained("cross_entropy(y, t)", 4, labels)
    present, counts = np.unique(labels, return_counts=True)
    weight = np.zeros(4)
    weight[present] = len(labels) / (len(present) * counts)
    each = np.logaddexp.reduce(y, -1) - y[np.arange(60), labels]
    assert loss == pytest.approx(np.average(each, weights=weight[labels]), rel=1e-5)
    assert plain == pytest.approx(each.mean(), rel=1e-5)


def test_rows_of_shares_and_ignored_labels():
    loss, _, y = trained("cross_entropy(y, t)", 3, np.eye(3)[RARE])
    weight = 60 / (3 * np.bincount(RARE))
    each = np.logaddexp.reduce(y, -1) - y[np.arange(60), RARE]
    assert loss == pytest.approx((weight[RARE] * each).mean(), rel=1e-5)
    loss, _, y = trained("cross_entropy(y, t, ignore_index = 0)", 3, RARE)
    kept = RARE > 0
    weight = np.array([0, 20 / (2 * 15), 20 / (2 * 5)])
    each = np.logaddexp.reduce(y, -1) - y[np.arange(60), RARE]
    assert loss == pytest.approx(np.average(each[kept], weights=weight[RARE][kept]), rel=1e-5)


def test_yes_and_no():
    labels = (RARE == 2).astype(int)
    loss, plain, y = trained("binary_cross_entropy(y, t)", 1, labels)
    weight = 60 / (2 * np.bincount(labels))
    each = np.logaddexp(y[:, 0], 0) - y[:, 0] * labels
    assert loss == pytest.approx((weight[labels] * each).mean(), rel=1e-5)
    assert plain == pytest.approx(each.mean(), rel=1e-5)


def test_the_samples_are_those_that_are_trained_on():
    """Of a subset: its own counts."""
    loss, _, _ = trained("cross_entropy(y, t)", 3, RARE, subset=59, drop_last=False)
    assert np.isfinite(loss)
