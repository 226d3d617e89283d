"""Labels in every form that people have them in, and what the losses make of them."""

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Trainer

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((24, 4)).astype(np.float32)
CLASSES = np.arange(24) % 3
ONE_HOT = np.eye(3)[CLASSES]
SOFT = 0.8 * ONE_HOT + 0.1 * (1 - ONE_HOT)


def trainer(loss, labels, units=3, metrics="", test=None, samples=POINTS):
    text = f"""
    net Small {{ input x: {list(samples.shape[1:])}; output y = x -> flatten -> dense({units}) }}
    train {{ loss = {loss}; metrics = [{metrics}]; optimizer = sgd(lr = 0.1); batch = 8; epochs = 2 }}
    """
    sets = {"train": from_arrays(samples, labels), "shuffle": False}
    if test is not None:
        sets["test"] = from_arrays(samples, test)
    return Trainer(elaborate(Source("small.net", text)), data=DataPlan(sets))


def first_loss(made):
    """The mean loss over the first epoch, each batch before its step, and its metrics."""
    return made.fit().history[0].train


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool, np.float32, np.float64])
def test_one_hot_rows_train_as_class_numbers_do(kind):
    metrics = "accuracy(y, t), top_k_accuracy(y, t, k = 2)"
    wanted = first_loss(trainer("cross_entropy(y, t)", CLASSES, metrics=metrics))
    found = first_loss(trainer("cross_entropy(y, t)", ONE_HOT.astype(kind), metrics=metrics))
    assert found.keys() == wanted.keys() == {"loss", "accuracy", "top_k_accuracy"}
    assert all(np.isclose(found[name], wanted[name], rtol=1e-6) for name in wanted)


def test_soft_labels_give_the_cross_entropy_of_distributions():
    made = trainer("cross_entropy(y, t)", SOFT)
    w, b = (made.program.state_dict()[f"dense1.{name}"].astype(np.float64) for name in ("weight", "bias"))
    losses = []
    for start in range(0, 24, 8):  # the gradient by hand, in float64
        x, t = POINTS[start : start + 8].astype(np.float64), SOFT[start : start + 8]
        scores = x @ w + b
        logp = scores - np.logaddexp.reduce(scores, -1, keepdims=True)
        losses.append(-(t * logp).sum(-1).mean())
        g = (np.exp(logp) - t) / 8
        w, b = w - 0.1 * x.T @ g, b - 0.1 * g.sum(0)
    assert np.isclose(first_loss(made)["loss"], np.mean(losses), rtol=1e-5)


def test_masks_may_be_rows_of_each_cell():
    images = RNG.standard_normal((6, 2, 3, 1)).astype(np.float32)
    cells = RNG.integers(0, 2, (6, 2, 3))
    text = """
    net Small { input x: [2, 3, 1]; output y = x -> conv(2, 1) }
    train { loss = cross_entropy(y, t); metrics = [accuracy(y, t)]; batch = 2; epochs = 1 }
    """

    def result(labels):
        data = DataPlan({"train": from_arrays(images, labels), "test": from_arrays(images, labels)})
        return Trainer(elaborate(Source("small.net", text)), data=data).fit().test

    wanted, found = result(cells), result(np.eye(2, dtype=np.uint8)[cells])
    assert all(np.isclose(found[name], wanted[name], rtol=1e-6) for name in wanted)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("mse(y, t)", np.linspace(-43, 125, 24).astype(np.int64)),
        ("mae(y, t)", np.linspace(-43, 125, 24).astype(np.int8)),
        ("hinge(y, t)", np.where(CLASSES > 0, 1, -1)),
        ("huber(y, t)", CLASSES[:, None] - 1),
    ],
)
def test_whole_numbers_are_targets_of_a_regression(loss, labels):
    wanted = first_loss(trainer(loss, labels.astype(np.float32), units=1))
    assert first_loss(trainer(loss, labels, units=1)) == wanted


@pytest.mark.parametrize(
    ("loss", "labels", "units", "message", "fix"),
    [
        (
            "cross_entropy(y, t)",
            CLASSES - 1,
            3,
            "the label -1; class numbers count from 0",
            "t + 1 numbers",
        ),
        ("cross_entropy(y, t)", CLASSES + 1, 3, "the label 3, the network 3 classes", "t - 1 numbers"),
        ("cross_entropy(y, t)", CLASSES % 2, 1, "the label 1, the network 1 class", "binary_cross_entropy"),
        ("cross_entropy(y, t)", 1 - ONE_HOT, 3, "no shares of classes", "binary_cross_entropy"),
        ("cross_entropy(y, t)", -ONE_HOT, 3, "no shares of classes", "sum to 1"),
        ("cross_entropy(y, t)", ONE_HOT, 4, "has shape [3], the loss takes single numbers", "the 4 classes"),
        ("cross_entropy(y, t, ignore_index = 9)", ONE_HOT, 3, "ignore_index is for labels", ""),
        ("cross_entropy(y, t)", CLASSES / 2, 3, "are float32, the loss takes class numbers", ""),
        ("mse(y, t)", CLASSES, 3, "is a single number, the loss takes [3]", "cross_entropy"),
        ("binary_cross_entropy(y, t)", CLASSES, 1, "the label 2, binary_cross_entropy takes 0 to 1", ""),
        ("hinge(y, t)", CLASSES + 1, 1, "the label 3, hinge takes -1 to 1", ""),
        ("hinge(y, t)", CLASSES % 2, 1, "the label 0, hinge takes -1 and 1", "binary_cross_entropy"),
    ],
)
def test_labels_that_do_not_fit(loss, labels, units, message, fix):
    with pytest.raises(NetError) as caught:
        trainer(loss, labels, units)
    (found,) = caught.value.diagnostics
    assert message in found.message and fix in (found.fix or "")


def test_every_set_has_labels_of_the_same_form():
    with pytest.raises(NetError, match=r"a label of the test set is a single number, the loss takes \[3\]"):
        trainer("cross_entropy(y, t)", ONE_HOT, test=CLASSES)


@pytest.mark.parametrize("change", ["shift", "flip"])
@pytest.mark.parametrize(
    ("labels", "known"),
    [
        (CLASSES, True),
        (ONE_HOT, True),
        (SOFT, True),
        ((CLASSES > 0).astype(np.float32), True),
        (RNG.integers(0, 2, (24, 3)), True),
        (RNG.random((24, 2, 3)), True),
        (RNG.random((24, 2, 3, 5)), True),
        (RNG.random((24, 4)), False),
        (RNG.integers(0, 9, (24, 4)), False),
        (RNG.random(24), False),
        (RNG.random((24, 5, 4)), False),
    ],
)
def test_augmentation_refuses_labels_that_it_may_make_wrong(change, labels, known):
    from netdsl.data import Flip, Shift

    images = RNG.random((24, 2, 3, 1)).astype(np.float32)
    for keep in (False, True):
        entry = Shift(1, keep_labels=keep) if change == "shift" else Flip(keep_labels=keep)
        plan = DataPlan({"train": from_arrays(images, labels), "augment": [entry]})
        if known or keep:
            batch = plan.training_batches(8).make(0, 0)
            assert batch["label"].shape == (8, *labels.shape[1:])
            if keep:
                np.testing.assert_allclose(batch["label"], labels.astype(np.float32)[batch.indices])
        else:
            with pytest.raises(NetError, match=f"{change} moves the images, but what that does to labels"):
                plan.training_batches(8)
            with pytest.raises(NetError, match=rf"{change}\(keep_labels = true\)"):
                plan.check(8)
