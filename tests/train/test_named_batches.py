"""Data sets of arrays by name: several inputs and targets, none, weights of samples; against NumPy in float64."""

import json
import warnings

import numpy as np
import pytest

import netdsl
from netdsl.data import Batches, DataPlan, Flip, Shift, Usage, from_arrays, from_mapping
from netdsl.elaborate import elaborate
from netdsl.predict import answers, load_trained
from netdsl.source import NetError, NetWarning, Source
from netdsl.train import Callback, Evaluator, Trainer, load_checkpoint

RNG = np.random.default_rng(0)
COUNT = 40
LEFT = RNG.integers(0, 256, (COUNT, 4)).astype(np.uint8)
RIGHT = RNG.normal(5, 3, (COUNT, 3)).astype(np.float32)
SAME = RNG.integers(0, 2, COUNT)
KIND = RNG.integers(0, 3, COUNT)
WEIGHT = RNG.random(COUNT).astype(np.float32) + 0.5
ARRAYS = {"left": LEFT, "right": RIGHT, "same": SAME, "kind": KIND, "weight": WEIGHT}
TEXT = """
net Two {
  input left: [4]
  input right: [3]
  output same_logit = concat(left, right) -> dense(1)
  output kind_logits = left -> dense(3)
}
train {
  loss = binary_cross_entropy(same_logit, same, weight) + 0.5 * cross_entropy(kind_logits, kind)
  metrics = [binary_accuracy(same_logit, same), accuracy(kind_logits, kind)]
  optimizer = sgd(lr = 0.05, momentum = 0.9)
  epochs = 3
  batch = 7
}
"""
AUTO = """
net Auto { input x: [4]; output y = x -> dense(2) -> dense(4) }
train { loss = mse(y, x); optimizer = adam; epochs = 2; batch = 8 }
"""


def network(text=TEXT, **settings):
    return elaborate(Source("named.net", text), overrides={f"train.{k}": str(v) for k, v in settings.items()})


def plan(arrays=ARRAYS, **settings):
    return DataPlan({"train": arrays, "test": arrays, "validation": arrays, "drop_last": False, **settings})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(w, left, right):
    """What the network says, in float64: the two heads."""
    both = np.concatenate([left, right], -1).astype(np.float64)
    return both @ w["dense1.weight"] + w["dense1.bias"], left.astype(np.float64) @ w["dense2.weight"] + w[
        "dense2.bias"
    ]


def losses(w, left, right, same, kind, weight):
    a, b = forward(w, left, right)
    first = (weight * (np.logaddexp(a[:, 0], 0) - a[:, 0] * same)).mean()
    second = (np.logaddexp.reduce(b, -1) - b[np.arange(len(b)), kind]).mean()
    return first + 0.5 * second


def test_two_inputs_two_targets_and_weights_learn_as_numpy_says():
    """Three steps of gradient descent by hand, on the whole set, from bytes of one input and floats of the other."""
    trainer = Trainer(network(batch=COUNT, optimizer="sgd(lr = 0.5)"), data=plan(normalize="scale"))
    w = {name: array.astype(np.float64) for name, array in trainer.program.state_dict().items()}
    result = trainer.fit()
    left, right = LEFT / 255, RIGHT.astype(np.float64)
    both = np.concatenate([left, right], -1)
    for epoch in result.history:
        assert epoch.train["loss"] == pytest.approx(losses(w, left, right, SAME, KIND, WEIGHT), rel=1e-5)
        a, b = forward(w, left, right)
        da = WEIGHT * (sigmoid(a[:, 0]) - SAME) / COUNT
        db = np.exp(b - np.logaddexp.reduce(b, -1, keepdims=True))
        db[np.arange(COUNT), KIND] -= 1
        db *= 0.5 / COUNT
        w["dense1.weight"] -= 0.5 * both.T @ da[:, None]
        w["dense1.bias"] -= 0.5 * da.sum()
        w["dense2.weight"] -= 0.5 * left.T @ db
        w["dense2.bias"] -= 0.5 * db.sum(0)
    for name, array in trainer.program.state_dict().items():
        np.testing.assert_allclose(array, w[name], rtol=2e-4, atol=1e-6)
    assert result.test["loss"] == pytest.approx(losses(w, left, right, SAME, KIND, WEIGHT), rel=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_values_over_a_set_do_not_depend_on_the_batch(batch):
    """Weights of samples and two targets, however the set is cut."""
    net = network()
    evaluator = Evaluator(net, plan(), batch)
    w = {
        n: a.astype(np.float64)
        for n, a in Trainer(net, data=plan()).program.state_dict().items()
        if "/" not in n
    }
    evaluator.program(batch).load_state_dict({n: a.astype(np.float32) for n, a in w.items()})
    found = evaluator.run("test")
    a, b = forward(w, LEFT / 255, RIGHT)
    assert found["loss"] == pytest.approx(losses(w, LEFT / 255, RIGHT, SAME, KIND, WEIGHT), rel=1e-5)
    assert found["binary_accuracy"] == ((a[:, 0] > 0) == SAME).mean()
    assert found["accuracy"] == (b.argmax(-1) == KIND).mean()


class Stop(Callback):
    def on_batch_end(self, loop, values):
        if loop.progress.step == 8:
            loop.stop()


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    def trainer(folder, *callbacks):
        return Trainer(network(), tmp_path / folder, plan(normalize="standardize"), callbacks=callbacks)

    whole = trainer("a").fit()
    assert trainer("b", Stop()).fit().interrupted
    assert trainer("b").fit(resume=True).history == whole.history
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_was_trained_takes_arrays_as_they_were_stored(tmp_path):
    """Each input is normalised as in training; each output has the names of its own target."""
    arrays = from_mapping(ARRAYS, classes={"same": ("no", "yes"), "kind": ("a", "b", "c")})
    data = DataPlan({"train": arrays, "normalize": "standardize"})
    Trainer(network(), tmp_path, data).fit()
    trained = load_trained(tmp_path / "last.safetensors")
    found = trained.run({"left": LEFT, "right": RIGHT})
    scaled = [
        (x - x.mean(0, keepdims=True)) / x.std(0, keepdims=True) for x in map(np.float64, (LEFT, RIGHT))
    ]
    a, b = forward({n: np.float64(x) for n, x in trained.weights.items()}, *scaled)
    np.testing.assert_allclose(found["same_logit"], a, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["kind_logits"], b, rtol=1e-4, atol=1e-4)
    best = answers(found, trained.usage, 1)
    assert [row[0].name for row in best["kind_logits"].rows] == [f"{'abc'[k]}" for k in b.argmax(-1)]
    assert [row[0].name for row in best["same_logit"].rows] == [("no", "yes")[int(x > 0)] for x in a[:, 0]]
    usage = load_checkpoint(tmp_path / "last.safetensors").model.usage
    assert Usage.from_json(json.loads(json.dumps(usage))).inputs.keys() == {"left", "right"}


def test_an_autoencoder_needs_no_label():
    x = RNG.random((24, 4)).astype(np.float32)
    trainer = Trainer(network(AUTO), data={"x": x})
    w = {n: np.float64(a) for n, a in trainer.program.state_dict().items()}
    y = (x @ w["dense1.weight"] + w["dense1.bias"]) @ w["dense2.weight"] + w["dense2.bias"]
    evaluator = Evaluator(trainer.network, trainer.data, 5, trainer.program)
    assert evaluator.run("train")["loss"] == pytest.approx(((y - x) ** 2).mean(), rel=1e-5)
    first, second = (e.train["loss"] for e in trainer.fit().history)
    assert second < first
    labelled = Trainer(network(AUTO), data=from_arrays(x, np.arange(24) % 3))
    assert labelled.fit().history[0].train["loss"] == first


def test_weights_of_samples_and_cells_that_are_ignored():
    """Against NumPy, over a set that is cut into batches of 3."""
    text = """
    net Map { input x: [2, 2, 3]; output y = x -> conv(2, 1) }
    train { loss = cross_entropy(y, mask, w, ignore_index = 255); batch = 3; epochs = 1
      metrics = [accuracy(y, mask, ignore_index = 255)] }
    """
    x = RNG.random((10, 2, 2, 3)).astype(np.float32)
    mask = RNG.choice([0, 1, 255], (10, 2, 2))
    w = RNG.random(10)
    trainer = Trainer(network(text), data=plan({"x": x, "mask": mask, "w": w}))
    p = {n: np.float64(a) for n, a in trainer.program.state_dict().items()}
    y = x @ p["conv1.weight"].reshape(3, 2) + p["conv1.bias"]
    loss = (
        np.logaddexp.reduce(y, -1)
        - np.take_along_axis(y, np.where(mask == 255, 0, mask)[..., None], -1)[..., 0]
    )
    counted = mask != 255
    found = Evaluator(trainer.network, trainer.data, 3, trainer.program).run("test")
    assert found["loss"] == pytest.approx((w[:, None, None] * loss)[counted].sum() / counted.sum(), rel=1e-5)
    assert found["accuracy"] == (y.argmax(-1) == mask)[counted].mean()


def test_shares_of_classes_for_one_target_of_two():
    """One-hot rows for `kind` are as good as its class numbers."""
    rows = {**ARRAYS, "kind": np.eye(3)[KIND]}
    results = [Trainer(network(), data=plan(arrays)).fit().history[0].train for arrays in (ARRAYS, rows)]
    assert results[0] == pytest.approx(results[1], rel=1e-6)


def test_pictures_and_masks_move_together_and_tables_stay():
    pictures = RNG.integers(1, 255, (12, 5, 6, 1)).astype(np.uint8)
    arrays = {
        "a": pictures,
        "b": 255 - pictures,
        "t": RNG.random((12, 3)),
        "m": pictures[..., 0],
        "w": np.ones(12),
    }
    text = """
    net Pair { input a: [5, 6, 1]; input b: [5, 6, 1]; input t: [3]
      output y = concat(a -> flatten, b -> flatten, t) -> dense(30) -> reshape([5, 6]) }
    train { loss = mse(y, m, w); batch = 4; epochs = 1 }
    """
    trainer = Trainer(network(text), data=plan(arrays, augment=[Shift(2), Flip()], normalize="raw"))
    trainer.fit()
    feeds = trainer.learner.inputs.feeds
    batch = trainer.data.training_batches(4, feeds).make(0, 0)
    assert batch.keys() == {"a", "b", "t", "m", "w"}
    np.testing.assert_array_equal(batch["a"][..., 0], batch["m"])
    moved = batch["a"] != 0
    np.testing.assert_array_equal(batch["b"][moved], 255 - batch["a"][moved])
    np.testing.assert_array_equal(batch["t"], arrays["t"].astype(np.float32)[batch.indices])
    assert (batch["m"] != arrays["m"][batch.indices]).any()


@pytest.mark.parametrize(
    ("arrays", "message", "fix"),
    [
        (
            {**ARRAYS, "same": None, "smae": SAME},
            "no array same, which the network takes as a target",
            "smae?",
        ),
        (
            {**ARRAYS, "right": None},
            "no array right, which the network takes as an input",
            "its arrays: left",
        ),
        (
            {**ARRAYS, "weight": None, "wight": WEIGHT},
            "no array weight, which the network takes as weights",
            "wight?",
        ),
        (
            {**ARRAYS, "kind": KIND + 1},
            "kind in the train set has the label 3, the network 3 classes",
            "kind - 1 numbers these classes from 0",
        ),
        (
            {**ARRAYS, "kind": KIND - 1},
            "kind in the train set has the label -1; class numbers count from 0",
            "kind + 1 numbers these classes from 0",
        ),
        (
            {**ARRAYS, "kind": KIND * 10},
            "kind in the train set has the label 20, the network 3 classes",
            "numpy.unique(kind, return_inverse=True)[1] numbers these classes from 0",
        ),
        ({**ARRAYS, "kind": KIND / 2}, "the labels of kind in the train set are float32", ""),
        (
            {**ARRAYS, "same": SAME * 2},
            "same in the train set has the label 2, binary_cross_entropy",
            "",
        ),
        (
            {**ARRAYS, "left": LEFT[:, :3]},
            "left: the data has samples of shape [3], the network takes [4]",
            "",
        ),
        (
            {**ARRAYS, "weight": np.ones((COUNT, 2))},
            "a weight of weight in the train set has shape [2], the loss takes",
            "",
        ),
        (
            {**ARRAYS, "weight": WEIGHT - 1},
            "weight in the train set has the weight -0.",
            "",
        ),
        (
            {**ARRAYS, "left": LEFT[:9]},
            "the arrays have different numbers of samples: 9 in left, 40 in right",
            "",
        ),
        ({**ARRAYS, "left": LEFT * np.nan}, "the values of left hold values that are not finite", ""),
        ({**ARRAYS, "left": np.array(["a"] * COUNT)}, "values of left are <U1", ""),
        (
            {"image": LEFT, "label": SAME},
            "one sample and one label; the network takes left, right",
            "from_mapping",
        ),
        ({}, "at least one array", ""),
        ({"train": ARRAYS, "validation": 0.2}, "train is a dict, not an array of samples", "DataPlan"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(arrays, message, fix):
    with pytest.raises(NetError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(network(), data={name: x for name, x in arrays.items() if x is not None})
    found = caught.value.diagnostics[0]
    assert message in found.message and fix in (found.fix or "")


def test_a_misspelt_label_is_no_new_input():
    text = AUTO.replace("mse(y, x)", "cross_entropy(y, label)").replace(
        "optimizer", "metrics = [accuracy(y, lable)]; optimizer"
    )
    with pytest.raises(NetError, match="label and lable are two"):
        Trainer(network(text), data=from_arrays(np.zeros((8, 4)), np.arange(8) % 4))


def test_an_array_that_nothing_takes_is_a_warning():
    with pytest.warns(NetWarning, match="nothing takes the array more of the training set"):
        Trainer(network(), data={**ARRAYS, "more": WEIGHT})


def test_a_share_for_validation_is_stratified_by_the_label():
    data = DataPlan(
        {"train": {"x": RIGHT, "label": np.arange(COUNT) % 4, "n": np.arange(COUNT)}, "validation": 0.5}
    )
    assert np.bincount(data.validation["label"]).tolist() == [5] * 4
    named = DataPlan({"train": {"x": RIGHT, "kind": np.arange(COUNT) % 4}, "validation": 0.5})
    assert np.bincount(named.validation["kind"]).tolist() == [5] * 4


def test_a_batch_is_a_mapping():
    batch = Batches(from_mapping(ARRAYS), 8).make(0, 4)
    assert dict(batch).keys() == ARRAYS.keys() and len(batch) == 5 and batch.size == 8 and batch.last
    assert {name: str(array.dtype) for name, array in batch.items()} == {
        "left": "float32",
        "right": "float32",
        "same": "int64",
        "kind": "int64",
        "weight": "float32",
    }


def test_from_the_package():
    assert netdsl.Trainer(network(epochs=1), data=ARRAYS).fit().epochs == 1


BOXES = """
net Boxes { input x: [6]; output y = x -> dense(12) -> reshape([3, 4]) }
train { loss = LOSS(y, boxes, sequence_mask(count, 3)); batch = 4; epochs = 1; optimizer = sgd(lr = 0.1) }
"""


def test_boxes_are_padded_and_their_counts_say_which_are_there():
    """What is padding changes nothing; against NumPy, with losses of numbers and of boxes."""
    x, count = RNG.random((10, 6)).astype(np.float32), np.arange(10) % 4
    low = RNG.random((10, 3, 2))
    boxes = np.concatenate([low, low + RNG.random((10, 3, 2))], -1).astype(np.float32)
    there = np.arange(3) < count[:, None]
    other = np.where(there[..., None], boxes, 7).astype(np.float32)
    for loss in ("smooth_l1", "mse", "giou"):
        net = network(BOXES.replace("LOSS", loss))
        trainers = [Trainer(net, data=plan({"x": x, "boxes": b, "count": count})) for b in (boxes, other)]
        w = {n: np.float64(a) for n, a in trainers[0].program.state_dict().items()}
        results = [t.fit() for t in trainers]
        assert results[0].history == results[1].history
        if loss == "mse":
            y = (x @ w["dense1.weight"] + w["dense1.bias"]).reshape(10, 3, 4)
            found = Evaluator(
                net, trainers[0].data, 3, Trainer(net, data={"x": x, "boxes": boxes, "count": count}).program
            )
            assert found.run("test")["loss"] == pytest.approx(
                ((y - boxes) ** 2 * there[..., None]).mean(), rel=1e-5
            )


@pytest.mark.parametrize(
    ("count", "message"),
    [([4, 0], "count in the train set has the count 4, sequence_mask room for 3"),
     ([-1, 0], "count in the train set has the count -1; counts are 0 or more"),
     ([0.5, 0], "the counts of count in the train set are float32")],
)  # fmt: skip
def test_counts_that_do_not_fit(count, message):
    arrays = {"x": np.zeros((4, 6)), "boxes": np.zeros((4, 3, 4)), "count": np.tile(count, 2)}
    with pytest.raises(NetError, match=message):
        Trainer(network(BOXES.replace("LOSS", "iou")), data=arrays)
