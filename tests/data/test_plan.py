"""The `data { }` section: names, settings, files, batches."""

import gzip
import struct

import numpy as np
import pytest

from netdsl.data import (
    SETTINGS,
    SOURCES,
    DataPlan,
    Flip,
    Normalization,
    Preparation,
    Shift,
    Usage,
    from_arrays,
)
from netdsl.data.feeds import Feed, Kind
from netdsl.data.normalize import Raw, Scale, Standardize
from netdsl.source import NetError

FLAT = (Feed("x", Kind.INPUT, (64,)), Feed("t", Kind.TARGET, (), integers=True))
DIGITS = {"train": SOURCES["digits.train"], "test": SOURCES["digits.test"]}


def test_named_data():
    plan = DataPlan(DIGITS)
    assert len(plan.train) == 1437 and len(plan.test) == 360
    assert plan.has_test and not plan.has_validation and plan.preparations()["image"].normalization.peak == 16
    batches = plan.training_batches(100, FLAT)
    assert len(batches) == 14 and batches.make(0, 0)["x"].shape == (100, 64)
    assert batches.make(0, 0)["x"].max() == 1
    assert len(plan.evaluation_batches("test", 100)) == 4
    with pytest.raises(NetError, match=r"set data\.validation"):
        plan.validation


def test_every_setting():
    settings = {
        **DIGITS,
        "validation": 0.1,
        "normalize": Standardize,
        "augment": [Shift(1), Flip],
        "shuffle": False,
        "drop_last": False,
        "workers": 2,
    }
    others = {"preprocess", "classes", "boxes", "subset", "folds", "fold", "class_weights"}
    assert settings.keys() | others == SETTINGS.keys()
    plan = DataPlan(settings, seed=5)
    assert len(plan.validation) == 144 and len(plan.train) == 1293 and plan.has_validation
    assert plan.preparations()["image"].normalization == Standardize().fit(plan.train.columns["image"])
    batches = plan.training_batches(128)
    assert batches.augment == (Shift(1), Flip()) and batches.make(0, 0).indices[0] == 0 and len(batches) == 11
    assert plan.evaluation_batches("validation", 50).augment == ()
    np.testing.assert_array_equal(DataPlan(settings, seed=5).validation["image"], plan.validation["image"])
    assert DataPlan({**settings, "normalize": Raw}).preparations()["image"].normalization.peak == 1
    assert DataPlan({**settings, "augment": Flip}).training_batches(8).augment == (Flip(),)


def test_checkpoint_normalization_holds_without_reading_the_training_set():
    kept = Normalization(16.0, (0.5,), (0.25,))
    plan = DataPlan(
        {"test": SOURCES["digits.test"]}, given=Usage({"image": Preparation((8, 8, 1), normalization=kept)})
    )
    batch = plan.evaluation_batches("test", 360).make(0, 0)
    np.testing.assert_array_equal(batch["image"], kept(plan.test["image"]))
    with pytest.raises(NetError, match="names no train set"):
        plan.train


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_files_are_relative_to_the_net_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4), np.uint8)
    labels = np.arange(5, dtype=np.uint8)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "images.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "sub" / "labels").write_bytes(idx(labels))
    np.savez(tmp_path / "all.npz", x=images, labels=labels)
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", labels)
    plan = DataPlan(
        {
            "train": SOURCES["idx"]("sub/images.gz", "sub/labels"),
            "test": SOURCES["npz"]("all.npz", y="labels"),
            "validation": SOURCES["npy"]("x.npy", "y.npy"),
        },
        base=tmp_path,
    )
    assert plan.train["image"].shape == (5, 3, 4, 1) and plan.test["x"].shape == (5, 3, 4)
    for split, x, y in (
        (plan.train, "image", "label"),
        (plan.test, "x", "y"),
        (plan.validation, "image", "label"),
    ):
        np.testing.assert_array_equal(split[x].reshape(5, 3, 4), images)
        assert split[y].tolist() == [0, 1, 2, 3, 4]


def test_arrays_from_python():
    split = from_arrays(np.zeros((4, 2)), [0, 1, 0, 1])
    assert DataPlan({"train": split}).train is split


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trian": 1}, "did you mean train"),
        ({"x": 1, "y": 2}, r"(?s)no setting x.*no setting y"),
        ({"train": "mnist"}, r"train is \"mnist\"; it must be one of digits\.train"),
        ({"train": SOURCES["idx"]}, "train is idx; it must"),
        ({"validation": 1.0}, "share from 0 to below 1"),
        ({"validation": True}, "share from 0 to below 1"),
        ({"validation": "a"}, 'validation is "a"'),
        ({"normalize": 3}, "normalize is 3; it must be one of raw, scale, standardize"),
        ({"augment": [Shift]}, "augment holds shift"),
        ({"augment": [Scale()]}, "augment holds"),
        ({"augment": "[shift(1)]"}, r"augment holds .*\n.*netdsl\.data\.Shift\(\.\.\.\) in Python"),
        ({"augment": ["shift"]}, r"netdsl\.data\.Shift\("),
        ({"normalize": "scale(16)"}, r"netdsl\.data\.Scale\("),
        ({"preprocess": ["resize(8)"]}, r"netdsl\.data\.Resize\("),
        ({"shuffle": 1}, "shuffle is 1; it must be true or false"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(NetError, match=message):
        DataPlan({**DIGITS, **settings})


@pytest.mark.parametrize("number", [1e300, 1e-60, float("nan"), float("inf"), 0, -1, True])
def test_numbers_that_no_tensor_holds_are_refused(number):
    """As a float32 they would be 0 or infinite, and a network would train on zeros."""
    with pytest.raises(NetError, match="scale\\(max\\) needs"):
        Scale(number)


def test_wrong_seed():
    with pytest.raises(NetError, match="seed"):
        DataPlan(DIGITS, seed=-1)


def test_settings_are_documented():
    assert all(setting.text for setting in SETTINGS.values())
