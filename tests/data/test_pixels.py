"""What stored numbers mean: one rule for all types, kept in checkpoints, and warnings where it is a guess."""

import json
import warnings

import numpy as np
import pytest

import netdsl
from netdsl.data import DataPlan, Usage, from_arrays, load_split
from netdsl.data.normalize import Raw, Scale, Standardize
from netdsl.data.pixels import Pixels, look
from netdsl.source import NetWarning

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (40, 6, 5, 1), np.uint8)
BYTES[0, 0, 0, 0], BYTES[0, 0, 1, 0] = 0, 255
LABELS = np.arange(40) % 4

# samples, what they are divided by under `scale`, and a word of the warning (None: there is none)
KINDS = {
    "bytes": (BYTES, 255, None),
    "int64": (BYTES.astype(np.int64), 255, None),
    "uint16 with bytes": (BYTES.astype(np.uint16), 255, None),
    "int8": ((BYTES // 2).astype(np.int8), 127, "taken as pixels and divided by 127"),
    "uint16": (BYTES.astype(np.uint16) * 257, 65535, None),
    "12 bits": (BYTES.astype(np.uint16) * 16, 4080, "scale\\(4080\\) says it is meant so"),
    "bool": (BYTES > 127, 1, None),
    "0 and 1": ((BYTES > 127).astype(np.int32), 1, None),
    "bytes of 0 to 16": (BYTES // 16 + 1, 255, "none is above 16"),
    "int64 of 0 to 16": (BYTES.astype(np.int64) // 16 + 1, 16, "divided by 16"),
    "float": (BYTES / 255, 1, None),
    "float, a little more": (BYTES / 250, 1, None),
    "float of 0 to 255": (BYTES.astype(np.float64), 1, "normalize = scale\\(255\\) divides by 255"),
    "float of 0 to 16": (BYTES / 255 * 16, 1, "scale\\(16\\)"),
    "below 0": (BYTES / 64 - 2, 1, None),
    "negative integers": (BYTES.astype(np.int32) - 128, 1, None),
    "a table": ((BYTES.reshape(40, 30) / 3).astype(np.float32), 1, None),
    "a table of integers": (BYTES.reshape(40, 30).astype(np.int64), 255, "normalize = raw leaves"),
    "black": (np.zeros((4, 3, 3), np.uint8), 255, None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_scale_divides_by(kind):
    samples, divisor, word = KINDS[kind]
    data = from_arrays(samples, LABELS[: len(samples)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = Scale().fit(data.columns["image"])
    np.testing.assert_array_equal(fitted(data["image"]), samples.astype(np.float32) / np.float32(divisor))
    assert [w.category for w in caught] == ([NetWarning] if word else [])
    if word:
        with pytest.warns(NetWarning, match=word):
            Scale().fit(data.columns["image"])


@pytest.mark.parametrize("normalize", [Raw(), Scale(255), Standardize()])
def test_who_says_it_is_not_warned(normalize):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalize.fit(from_arrays(BYTES.astype(np.float32), LABELS).columns["image"])


def test_standardize_is_the_same_for_every_type():
    want = Standardize().fit(from_arrays(BYTES, LABELS).columns["image"])(BYTES)
    for kind in ("int64", "uint16 with bytes", "float of 0 to 255", "float"):
        data = from_arrays(KINDS[kind][0], LABELS)
        np.testing.assert_allclose(Standardize().fit(data.columns["image"])(data["image"]), want, atol=1e-5)


# what a network was trained on, what it is given, and the numbers the network must see, as the training set's pixels
PAIRS = [
    ("bytes", "float", True),
    ("bytes", "int64", False),
    ("bytes", "float of 0 to 255", False),
    ("bytes", "uint16", True),
    ("float", "bytes", True),
    ("float", "int64", True),
    ("float", "uint16", True),
    ("float of 0 to 255", "bytes", False),
    ("float of 0 to 255", "float", True),
    ("float", "float of 0 to 255", True),
    ("uint16", "bytes", True),
    ("uint16", "float", True),
    ("int64", "bytes", False),
    ("bytes", "bool", False),
]


@pytest.mark.filterwarnings("ignore::netdsl.source.NetWarning")
@pytest.mark.parametrize(("trained", "given", "said"), PAIRS)
@pytest.mark.parametrize("normalize", [Scale(), Raw(), Standardize()])
def test_other_splits_are_brought_to_the_units_of_training(trained, given, said, normalize):
    train, test = (from_arrays(KINDS[kind][0], LABELS) for kind in (trained, given))
    plan = DataPlan({"train": train, "test": test, "normalize": normalize})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = plan.evaluation_batches("test", 40).make(0, 0)["image"]
    kept = plan.evaluation_batches("train", 40).make(0, 0)["image"]
    if given == "bool":
        kept = plan.preparations()["image"].normalization(np.where(KINDS["bool"][0], 255, 0))
    span = np.ptp(kept)
    np.testing.assert_allclose(seen / span, kept / span, atol=1e-4)
    messages = [str(w.message) for w in caught if "the test set is" in str(w.message)]
    assert len(messages) == said
    if said:
        assert "the training set" in messages[0] and test.columns["image"].pixels.dtype in messages[0]


def test_the_units_stay_with_the_checkpoint():
    trained = Usage(DataPlan({"train": from_arrays(BYTES, LABELS)}).preparations())
    read = Usage.from_json(json.loads(json.dumps(trained.to_json())))
    plan = DataPlan({"test": from_arrays(BYTES / 255, LABELS)}, given=read)
    with pytest.warns(NetWarning, match="1 in it is taken for 255"):
        seen = plan.evaluation_batches("test", 40).make(0, 0)["image"]
    np.testing.assert_allclose(seen, BYTES / 255, atol=1e-7)


def test_unknown_numbers_are_taken_as_they_are():
    train, test = from_arrays(BYTES / 64 - 2, LABELS), from_arrays(BYTES, LABELS)
    plan = DataPlan({"train": train, "test": test})
    with pytest.warns(NetWarning, match="its numbers are taken as they are"):
        np.testing.assert_array_equal(plan.evaluation_batches("test", 40).make(0, 0)["image"], BYTES)


def test_dark_data_is_said():
    plan = DataPlan({"train": from_arrays(BYTES, LABELS), "test": from_arrays((BYTES > 127) * 9, LABELS)})
    with pytest.warns(NetWarning, match="taken in the units of the training set"):
        plan.evaluation_batches("test", 40)


def test_looking_at_numbers():
    assert look(BYTES) == Pixels("uint8", 0, 255, 255.0)
    assert look(BYTES, 16.0).sure and look(BYTES > 1).sure
    assert look(BYTES / 64 - 2).white is None
    with pytest.raises(ValueError, match="above 0"):
        Pixels("uint8", 0, 1, 0.0)


NET = """
net Small { input image: [8, 8, 1]; output logits = image -> flatten -> dense(10) }
data { train = digits.train; test = digits.test }
train {
  loss = cross_entropy(logits, label)
  metrics = [accuracy(logits, label)]
  optimizer = adam(lr = 0.01)
  epochs = 5
}
"""


@pytest.mark.filterwarnings("ignore::netdsl.source.NetWarning")
def test_the_same_pictures_train_alike_in_every_type(tmp_path):
    """Bytes, int64 and uint16 give the same bits; floats from 0 to 1 the same accuracy."""
    (tmp_path / "small.net").write_text(NET)
    network = netdsl.load(tmp_path / "small.net", batch=32)
    train, test = load_split("digits", "train"), load_split("digits", "test")
    found = {}
    for name, cast in {
        "uint8": lambda x: (x * 15).astype(np.uint8),
        "int64": lambda x: x.astype(np.int64) * 15,
        "uint16": lambda x: x.astype(np.uint16) * 15,
        "float": lambda x: x / np.float32(17),
    }.items():
        data = {
            "train": from_arrays(cast(train["image"]), train["label"]),
            "test": from_arrays(cast(test["image"]), test["label"]),
        }
        trainer = netdsl.Trainer(network, data=DataPlan(data))
        found[name] = trainer.fit().test["accuracy"], trainer.program.state_dict()
    for name in ("int64", "uint16"):
        for weight, array in found["uint8"][1].items():
            np.testing.assert_array_equal(found[name][1][weight], array)
    assert found["uint8"][0] > 0.85 and abs(found["float"][0] - found["uint8"][0]) < 0.02
