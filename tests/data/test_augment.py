"""Counter-based numbers, shift, flip and normalisation against plain loops."""

import numpy as np
import pytest

from netdsl.data import Batches, Flip, Shift, from_arrays, from_mapping
from netdsl.data.counter import Purpose, check_seed, random_bits, random_order
from netdsl.data.feeds import Feed, Kind
from netdsl.data.normalize import Raw, Scale, Standardize
from netdsl.source import NetError
from tests.data.augment.running import change


def test_bits_are_pinned():
    # The result of every seeded run hangs on these.
    high, low = random_bits(1234567890123, Purpose.AUGMENT, 7, np.array([0, 1, 59_999]))
    assert high.tolist() == [2968834715, 988371206, 2067481982]
    assert low.tolist() == [233683576, 3062651433, 2391732437]
    assert random_order(5, Purpose.SHUFFLE, 2, 8).tolist() == [1, 0, 6, 3, 2, 7, 5, 4]


def test_bits_depend_on_each_part_of_the_key():
    index = np.arange(1000)
    keys = [(0, 1, 0), (1, 1, 0), (2**32, 1, 0), (0, 2, 0), (0, 1, 1)]
    words = [word for key in keys for word in random_bits(*key, index)]
    assert len({word.tobytes() for word in words}) == 10
    shares = [(word >> np.uint32(28)) for word in words]
    assert all(abs(np.bincount(share, minlength=16) - 62.5).max() < 40 for share in shares)
    np.testing.assert_array_equal(random_bits(0, 1, 0, index[500:])[0], words[0][500:])


def test_order_is_a_permutation():
    assert sorted(random_order(0, Purpose.SHUFFLE, 0, 1000).tolist()) == list(range(1000))
    for seed in (-1, 2**64):
        with pytest.raises(NetError, match="seed"):
            check_seed(seed)


def images(count=50, dtype=np.uint8):
    return np.random.default_rng(1).integers(1, 255, (count, 5, 7, 2)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shift(dtype):
    """By the words that every release has drawn."""
    before = images(dtype=dtype)
    bits = random_bits(0, Purpose.AUGMENT, 0, np.arange(50))
    after = change(before, Shift(2))
    seen = set()
    for k in range(50):
        down, right = (2 - int(word[k]) * 5 // 2**32 for word in bits)
        seen.add((down, right))
        expected = np.zeros_like(before[k])
        for y in range(5):
            for x in range(7):
                if 0 <= y - down < 5 and 0 <= x - right < 7:
                    expected[y, x] = before[k, y - down, x - right]
        np.testing.assert_array_equal(after[k], expected)
    assert len(seen) > 15 and after.dtype == dtype
    np.testing.assert_array_equal(change(before, Shift(0)), before)


def test_flip():
    before = images(1000)
    bits = random_bits(0, Purpose.AUGMENT, 0, np.arange(1000))
    after = change(before, Flip())
    flipped = bits[0] < 2**31
    np.testing.assert_array_equal(after[flipped], before[flipped][:, :, ::-1])
    np.testing.assert_array_equal(after[~flipped], before[~flipped])
    assert 400 < flipped.sum() < 600
    np.testing.assert_array_equal(change(before, Flip(0)), before)
    np.testing.assert_array_equal(change(before, Flip(1)), before[:, :, ::-1])


def test_the_place_in_the_list_is_part_of_the_key():
    before = images()
    both = change(before, Shift(2), Shift(2, p=0), Flip())
    bits = random_bits(0, Purpose.AUGMENT + 2, 0, np.arange(50))[0] < 2**31
    once = change(before, Shift(2))
    np.testing.assert_array_equal(both, np.where(bits[:, None, None, None], once[:, :, ::-1], once))


@pytest.mark.parametrize("bad", [-1, 1.5, True, "2", 10**9, None])
def test_shift_settings(bad):
    with pytest.raises(NetError, match="shift"):
        Shift(bad)


@pytest.mark.parametrize("bad", [-0.1, 1.5, True, "2", float("nan")])
def test_flip_settings(bad):
    with pytest.raises(NetError, match="flip"):
        Flip(bad)


def test_scale_and_raw():
    data = from_arrays(images(), np.zeros(50, int))
    np.testing.assert_array_equal(
        Scale().fit(data.columns["image"])(data["image"]), images().astype(np.float32) / np.float32(255)
    )
    np.testing.assert_array_equal(
        Scale(2).fit(data.columns["image"])(data["image"]), images().astype(np.float32) / 2
    )
    raw = Raw().fit(data.columns["image"])(data["image"])
    np.testing.assert_array_equal(raw, images())
    assert raw.dtype == np.float32


def test_standardize_computed():
    pixels = np.random.default_rng(1).integers(0, 256, (700, 5, 7, 3), np.uint8)
    pixels[..., 2] = 9
    data = from_arrays(pixels, np.zeros(700, int))
    fitted = Standardize().fit(data.columns["image"])
    scaled = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(fitted.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(fitted.std, [*scaled.std(axis=(0, 1, 2))[:2], 1.0], rtol=1e-12)
    result = fitted(pixels)
    np.testing.assert_allclose(result[..., :2].mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result[..., :2].std(axis=(0, 1, 2)), 1, atol=1e-5)
    assert np.isfinite(result).all()


def test_standardize_given():
    data = from_arrays(images(), np.zeros(50, int))
    fitted = Standardize(mean=[0.1, 0.2], std=(0.5, 2)).fit(data.columns["image"])
    expected = (images().astype(np.float32) / np.float32(255) - np.float32([0.1, 0.2])) / np.float32([0.5, 2])
    np.testing.assert_array_equal(fitted(data["image"]), expected)
    np.testing.assert_array_equal(
        Standardize(0.1, 0.5).fit(data.columns["image"])(data["image"])[..., 0], expected[..., 0]
    )
    with pytest.raises(NetError, match="for 3 channels, the data has 2"):
        Standardize([1, 2, 3], [1, 2, 3]).fit(data.columns["image"])(data["image"])


@pytest.mark.parametrize(
    "settings", [{"mean": 1}, {"mean": [1, 2], "std": 1}, {"mean": 0, "std": 0}, {"mean": "a", "std": 1}]
)
def test_standardize_settings(settings):
    with pytest.raises(NetError, match=r"mean|std"):
        Standardize(**settings)


@pytest.mark.parametrize("one", [Shift(2), Flip()])
def test_every_picture_and_labels_that_are_maps_move_alike(one):
    before, table = images(), np.arange(50.0)
    for kind in (np.int64, np.float32):
        labels = (before[..., 0] if kind is np.int64 else before).astype(kind)
        arrays = {"x": before, "y": before, "z": table, "t": labels, "c": np.arange(50)}
        inputs = [Feed(name, Kind.INPUT) for name in "xyz"]
        targets = [Feed("t", Kind.TARGET, integers=kind is np.int64), Feed("c", Kind.TARGET, integers=True)]
        made = Batches(from_mapping(arrays), 50, [*inputs, *targets], augment=[one]).make(0, 0)
        np.testing.assert_array_equal(made["t"], made["x"][..., 0] if kind is np.int64 else made["x"])
        np.testing.assert_array_equal(made["y"], made["x"])
        np.testing.assert_array_equal(made["z"], table)
        np.testing.assert_array_equal(made["c"], np.arange(50))
        assert (made["x"] != before).any()


def test_labels_that_are_maps_of_another_size_are_refused():
    data = from_arrays(images(), np.zeros((50, 3, 4)))
    with pytest.raises(
        NetError, match=r"shift moves the images, but what that does to labels of shape \[3, 4\]"
    ):
        Batches(data, 10, augment=[Shift(1)])


def test_augmenting_needs_images():
    data = from_arrays(np.zeros((20, 4)), np.zeros(20, int))
    with pytest.raises(NetError, match=r"flip needs images of shape \[H, W, C\], not \[4\]"):
        Batches(data, 10, augment=[Shift(1), Flip()])
