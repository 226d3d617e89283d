"""Arrays from Python, the embedded digits, the validation split."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.data.dataset import check_sample_shape, from_arrays, from_mapping
from netdsl.data.load import load_dataset, load_split
from netdsl.data.own.generator import from_generator
from netdsl.data.split import Shares, even_positions
from netdsl.source import NetError


def test_bytes_stay_bytes_and_others_become_floats():
    split = from_arrays(np.ones((3, 2, 2, 1), np.uint8), [0, 1, 2])
    assert split["image"].dtype == np.uint8 and split.columns["image"].pixels.white == 255
    assert split["label"].dtype == np.int64 and split.columns["image"].shape == (2, 2, 1) and len(split) == 3
    split = from_arrays(np.ones((3, 2), np.int16), np.array([[0], [1], [2]], np.uint8))
    assert (
        split["image"].dtype == np.float32
        and split.columns["image"].pixels.white == 1
        and split["label"].tolist() == [0, 1, 2]
    )
    assert from_arrays(np.ones((3, 2)), np.eye(3))["label"].dtype == np.float32
    assert from_arrays(np.ones((3, 4, 5, 1)), np.ones((3, 4, 5), np.uint8))["label"].dtype == np.int64


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "3 samples but 2 labels"),
        (np.zeros((0, 2)), [], "no samples"),
        (np.zeros(3), [0, 1, 2], r"shape \[n, ...\]"),
        (np.zeros((2, 2)), [0, -1], "from -1 to 0"),
        (np.zeros((2, 2)), [0, 10], "only 10 classes"),
        (np.full((2, 2), np.nan), [0, 1], "not finite"),
        (np.full((2, 2), 1e300), [0, 1], "not finite"),
        (np.zeros((2, 2)), [0.0, np.inf], "not finite"),
        (np.array([["a"], ["b"]]), [0, 1], "must be booleans, integers or floats"),
        (np.zeros((2, 2), complex), [0, 1], "must be booleans, integers or floats"),
    ],
)
def test_wrong_arrays(images, labels, message):
    with pytest.raises(NetError, match=message):
        from_arrays(images, labels, classes=tuple("0123456789"))


def test_sample_shapes_that_fit():
    check_sample_shape((28, 28, 1), (28, 28, 1))
    check_sample_shape((28, 28), (28, 28, 1))
    check_sample_shape((28, 28, 1), (784,))
    for wanted in [(28, 14, 2), (14, 56), (783,), (28, 28, 3), (32, 32, 1)]:
        with pytest.raises(NetError, match="the network takes"):
            check_sample_shape((28, 28, 1), wanted)


def test_digits():
    data = load_dataset("digits")
    train, test = data["train"], data["test"]
    assert train["image"].shape == (1437, 8, 8, 1) and test["image"].shape == (360, 8, 8, 1)
    assert (
        train["image"].dtype == np.uint8 and train["image"].max() == 16 == train.columns["image"].pixels.white
    )
    assert train.columns["label"].classes == tuple("0123456789")
    counts = np.array([np.bincount(split["label"]) for split in (train, test)])
    assert counts.sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (abs(counts[1] - counts.sum(axis=0) / 5) < 1).all()
    # The first image of the published file, which the documented rule puts into the test set.
    assert test["label"][0] == 0
    assert test["image"][0, :2, :, 0].tolist() == [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]
    digest = hashlib.sha256(train["image"].tobytes() + train["label"].tobytes() + test["image"].tobytes())
    assert digest.hexdigest() == "b4f98e92c84a2118cfda95a9a70f847cd6199bac02024ea13770d1bcf48fb323"
    with pytest.raises(NetError, match="no split 'val'; it has train, test"):
        data["val"]


def test_unknown_names_are_suggested():
    with pytest.raises(NetError, match="did you mean fashion_mnist"):
        load_split("fashion_mnst", "train")
    with pytest.raises(NetError, match="no split 'trian'"):
        load_split("digits", "trian")


@given(st.integers(1, 500), st.data())
def test_even_positions_are_different_and_even(count, data):
    picked = data.draw(st.integers(1, count))
    places = even_positions(count, picked)
    gaps = np.diff(places)
    assert len(places) == picked and places[0] >= 0 and places[-1] < count
    assert (gaps >= count // picked).all() and (gaps <= -(-count // picked)).all()


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), st.floats(0.05, 0.5), st.integers(20, 300))
def test_split_is_stratified_disjoint_and_complete(seed, fraction, count):
    labels = np.random.default_rng(0).integers(0, 4, count)
    data = from_arrays(np.arange(count)[:, None].astype(np.float32), labels)
    train, validation = Shares(validation=fraction).divide(data, seed)
    assert len(validation) == round(fraction * count)
    both = np.concatenate([train["image"], validation["image"]])[:, 0]
    assert sorted(both.tolist()) == list(range(count))
    assert (np.diff(train["image"][:, 0]) > 0).all()
    for label in range(4):
        share = (validation["label"] == label).sum() - len(validation) / count * (labels == label).sum()
        assert abs(share) < 1 + 1e-9
    again = Shares(validation=fraction).divide(data, seed)
    np.testing.assert_array_equal(again[1]["image"], validation["image"])


def test_split_follows_the_seed_and_checks_the_share():
    data = load_split("digits", "train")
    first, second = (Shares(validation=0.1).divide(data, seed)[1]["image"] for seed in (1, 2))
    assert (first != second).any()
    for share in (0.0001, 0.9999):
        with pytest.raises(NetError, match="leaves one part empty"):
            Shares(validation=share).divide(data, 0)
    Shares(validation=0.5).divide(from_arrays(np.zeros((10, 1)), np.linspace(0, 1, 10)), 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": [[1, 2], [3]]}, "x makes no array: .*inhomogeneous"),
        ({"x": np.ma.masked_array(np.ones((2, 2)), [[0, 0], [0, 1]])}, "x has values under its mask"),
        ({1: np.ones((2, 2))}, "an array goes by its name, as text, not 1"),
        ({"x": np.array([[0, 1], [2, 3], [4, np.nan]])}, "values of x hold .*: nan in sample 2"),
        ({"x": np.array([[0, 1], [1e300, 3]])}, r"values of x hold .*: 1e\+300 in sample 1"),
    ],
)
def test_arrays_that_are_none_are_told(arrays, message):
    with pytest.raises(NetError, match=message):
        from_mapping(arrays)


def test_labels_and_samples_of_generators_are_arrays_too():
    with pytest.raises(NetError, match="label makes no array"):
        from_arrays(np.ones((2, 2)), [[0], [1, 2]])
    with pytest.raises(NetError, match="image of sample 1 makes no array"):
        from_generator(lambda: iter([([1, 2], 0), ([1, [2]], 0)]))


def test_a_mask_that_hides_nothing_is_none():
    assert from_mapping({"x": np.ma.masked_array(np.ones((2, 2)))})["x"].shape == (2, 2)
