"""Changes of appearance against Pillow, SciPy and formulas in NumPy float64."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage, stats

from netdsl.data import (
    Batches,
    Blur,
    Brightness,
    ColorJitter,
    Contrast,
    Cutout,
    Flip,
    Gamma,
    GaussianNoise,
    Hue,
    Invert,
    Jpeg,
    OneOf,
    PcaLighting,
    Rotate,
    SaltAndPepper,
    Saturation,
    SomeOf,
    from_arrays,
)
from netdsl.data.augment.choose import leaves
from netdsl.source import NetError
from tests.data.augment.running import change, drawn, pictures

GREY = np.array([0.299, 0.587, 0.114])
ALL = [
    Brightness(0.5), Contrast(0.5), Saturation(0.9), Hue(0.5), Gamma(0.3, 3), Invert(1),
    ColorJitter(0.4, 0.4, 0.4, 0.1), PcaLighting(0.5), GaussianNoise(0.1), SaltAndPepper(0.1), Blur(2),
    Cutout(5), Jpeg(10, 95),
]  # fmt: skip
NOTHING = [
    Brightness(0), Contrast(0), Saturation(0), Hue(0), Gamma(1, 1), Invert(0), ColorJitter(), PcaLighting(0),
    GaussianNoise(0), SaltAndPepper(0), Blur(0), Cutout(1, p=0), Jpeg(1, 50, p=0),
    ColorJitter(0.4, 0.4, 0.4, 0.1, p=0),
]  # fmt: skip


def numbers(one, count, size=(20, 24)):
    """The numbers that a change's kernel is told, [k, count]."""
    found = one.numbers(drawn(count, one).draws[0], size)
    return [np.broadcast_to(x, (count,)) for x in found]


def smooth(count=4, size=(40, 56), channels=3):
    noise = np.random.default_rng(3).standard_normal((count, *size, channels))
    wide = ndimage.gaussian_filter(noise, (0, 4, 4, 0))
    return (np.clip(wide / wide.std() * 50 + 128, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize(
    ("one", "enhance"), [(Brightness(0.5), ImageEnhance.Brightness), (Contrast(0.5), ImageEnhance.Contrast),
                         (Saturation(0.9), ImageEnhance.Color)]
)  # fmt: skip
def test_factors_are_those_of_pillow(one, enhance):
    before = pictures(8)
    for image, after, factor in zip(before, change(before, one), numbers(one, 8)[0], strict=True):
        expected = np.asarray(enhance(Image.fromarray(image)).enhance(factor)).astype(int)
        assert np.abs(after - expected).max() <= 1  # Pillow rounds the grey, and cuts the result off


def test_contrast_of_grey_has_its_own_mean():
    before = pictures(3, channels=1, dtype=np.float32)
    factor = numbers(Contrast(0.5), 3)[0][:, None, None, None]
    mean = before.astype(np.float64).mean((1, 2, 3), keepdims=True)
    expected = np.clip(mean + factor * (before - mean), 0, 1)
    np.testing.assert_allclose(change(before, Contrast(0.5)), expected, atol=1e-6)


def test_hue_turns_as_colorsys_does():
    before = pictures(4, (6, 7), dtype=np.float32)
    for image, after, turn in zip(before, change(before, Hue(0.5)), numbers(Hue(0.5), 4)[0], strict=True):
        for old, new in zip(image.reshape(-1, 3).astype(float), after.reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*old)
            np.testing.assert_allclose(new, colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=2e-5)


def test_gamma_is_a_power():
    before = pictures(6, dtype=np.float32)
    powers = numbers(Gamma(0.3, 3), 6)[0][:, None, None, None]
    np.testing.assert_allclose(change(before, Gamma(0.3, 3)), before.astype(float) ** powers, atol=2e-6)
    whole = change(pictures(6), Gamma(0.3, 3))
    assert np.abs(whole - 255 * (pictures(6) / 255) ** powers).max() <= 0.501


def test_invert():
    before = pictures(2)
    for image, after in zip(before, change(before, Invert(1)), strict=True):
        np.testing.assert_array_equal(after, np.asarray(ImageOps.invert(Image.fromarray(image))))


def test_lighting_adds_a_colour_along_the_axes_of_alexnet():
    before = np.full((3000, 1, 1, 3), 0.5, np.float32)
    added = (change(before, PcaLighting(0.1))[:, 0, 0] - 0.5).astype(float)
    axes = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    shares = added @ axes / np.array([0.2175, 0.0188, 0.0045]) / 0.1
    for share in shares.T:
        assert stats.kstest(share, "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(shares.T) - np.eye(3)).max() < 0.06


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_is_normal(channels):
    before = np.full((4, 64, 64, channels), 0.5, np.float32)
    noise = (change(before, GaussianNoise(0.05)) - 0.5) / 0.05
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    flat = noise.reshape(4, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.05
    half = flat.shape[1] // 2
    assert abs(np.corrcoef(flat[0, :half], flat[0, half:])[0, 1]) < 0.06
    assert abs(np.corrcoef(np.abs(flat[0, :half]), np.abs(flat[0, half:]))[0, 1]) < 0.06


def test_salt_and_pepper():
    before = np.full((4, 100, 100, 3), 100, np.uint8)
    after = change(before, SaltAndPepper(0.1))
    assert set(np.unique(after)) == {0, 100, 255} and (after == after[..., :1]).all()
    assert abs((after == 255).mean() - 0.05) < 0.005 and abs((after == 0).mean() - 0.05) < 0.005


@pytest.mark.parametrize("size", [(20, 24), (1, 1), (3, 40), (60, 50), (2, 600)])
def test_blur_is_a_gaussian(size):
    before = pictures(6, size, dtype=np.float32)
    for image, after, sigma in zip(before, change(before, Blur(2.5)), numbers(Blur(2.5), 6)[0], strict=True):
        expected = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="mirror")
        np.testing.assert_allclose(after, expected if sigma >= 0.1 else image, atol=3e-6)


def test_cutout():
    before = np.full((2000, 12, 16, 2), 9, np.uint8)
    after = change(before, Cutout(5, fill=1))
    assert set(np.unique(after)) == {9, 255} and (after[..., 0] == after[..., 1]).all()
    covered = (after[..., 0] == 255).mean(0)
    expected = np.array([[sum(0 <= y - t < 5 for t in range(-2, 10)) * sum(0 <= x - u < 5 for u in range(-2, 14))
                          for x in range(16)] for y in range(12)]) / (12 * 16)  # fmt: skip
    assert np.abs(covered - expected).max() < 0.04
    for image in after[:50]:
        rows, columns = np.nonzero(image[..., 0] == 255)
        assert (image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 255).all()
        assert rows.max() - rows.min() < 5 and columns.max() - columns.min() < 5


@pytest.mark.parametrize("quality", [10, 50, 75, 90, 100])
@pytest.mark.parametrize(
    ("size", "channels"), [((40, 56), 3), ((40, 56), 1), ((17, 33), 3), ((9, 5), 1), ((1, 1), 3)]
)
def test_jpeg_is_that_of_pillow(quality, size, channels):
    before = smooth(3, size, channels)
    for image, after in zip(before, change(before, Jpeg(quality, quality)), strict=True):
        file = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if channels == 1 else image).save(
            file, "JPEG", quality=quality, subsampling="4:2:0"
        )
        expected = np.asarray(Image.open(file)).reshape(image.shape).astype(int)
        difference = np.abs(after - expected)
        # libjpeg computes with whole numbers: where one rounds a coefficient up, the other down, a block differs.
        limit = 4 if quality < 50 else 0.7 if channels == 1 else 1.2
        assert difference.mean() < limit and np.quantile(difference, 0.98) <= 5 * limit


@pytest.mark.parametrize("one", ALL, ids=lambda c: c.name)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (31, 17)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_values_stay_in_range_and_type(one, size, dtype):
    before = pictures(5, size, dtype=dtype)
    after = change(before, one)
    assert after.shape == before.shape and after.dtype == dtype
    assert after.min() >= 0 and after.max() <= (255 if dtype == np.uint8 else 1)


@pytest.mark.parametrize("one", NOTHING, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_settings_that_change_nothing_keep_the_bits(one, dtype):
    before = pictures(dtype=dtype)
    np.testing.assert_array_equal(change(before, one), before)


def test_any_number_of_threads_gives_the_same_bits():
    before = pictures(40, (64, 64))
    alone = change(before, *ALL, threads=1)
    np.testing.assert_array_equal(change(before, *ALL, threads=5), alone)
    few = change(before[[7, 30]], *ALL, threads=2, indices=np.array([7, 30]))
    np.testing.assert_array_equal(few, alone[[7, 30]])


def test_probabilities():
    before = np.full((4000, 1, 1, 1), 0.25, np.float32)
    changed = (change(before, Gamma(2, 2, p=0.3)) != before).mean()
    assert abs(changed - 0.3) < 0.03


def test_one_of_makes_one_and_some_of_some():
    before = np.full((3000, 4, 4, 1), 100, np.uint8)
    one = change(before, OneOf(Invert(1), Gamma(2, 2), Cutout(99)))
    seen, counts = np.unique(one[:, 0, 0, 0], return_counts=True)
    assert len(seen) == 3 and (np.abs(counts / 3000 - 1 / 3) < 0.04).all()
    list_ = SomeOf(2, Flip(1), Invert(1), Gamma(2, 2), p=0.5)
    found, places = leaves([list_])
    made = np.stack([leaf.made(drawn(3000, list_).draws) for leaf in found])
    assert places == 4 and set(made.sum(0)) == {0, 2} and abs((made.sum(0) > 0).mean() - 0.5) < 0.03
    assert all(abs((made[[a, b]].all(0)).mean() - 1 / 6) < 0.03 for a, b in ((0, 1), (0, 2), (1, 2)))
    deep = OneOf(OneOf(Flip(1), Invert(1)), Gamma(2, 2))
    made = np.stack([leaf.made(drawn(3000, deep).draws) for leaf in leaves([deep])[0]])
    np.testing.assert_allclose(made.mean(1), [0.25, 0.25, 0.5], atol=0.03)
    assert (made.sum(0) == 1).all()


@pytest.mark.parametrize(
    ("list_", "shape", "message"),
    [
        ([Hue(0.1)], (4, 4, 1), r"hue needs pictures \[H, W, 3\] of red, green and blue, not \[4, 4, 1\]"),
        ([OneOf(Flip(), Saturation(0.1))], (4, 4, 4), "saturation needs pictures"),
        ([Blur(1)], (16,), r"blur needs images of shape \[H, W, C\], not \[16\]"),
    ],
)
def test_what_does_not_fit(list_, shape, message):
    with pytest.raises(NetError, match=message):
        Batches(from_arrays(np.zeros((8, *shape), np.uint8), np.zeros(8, int)), 4, augment=list_)


def test_white_must_be_known():
    with pytest.raises(NetError, match="brightness needs to know which number is white"):
        Batches(
            from_arrays(np.full((8, 4, 4, 1), -3.5), np.zeros(8, int)),
            4,
            augment=[Rotate(3), Brightness(0.1)],
        )


def test_the_range_of_other_numbers_is_kept():
    """Bytes of 0 to 16 are not rounded to each other."""
    images = np.random.default_rng(0).integers(0, 17, (20, 8, 8, 1)).astype(np.uint8)
    data = from_arrays(images, np.zeros(20, int), white=16)
    batch = Batches(data, 20, augment=[Rotate(30), Brightness(0.5)]).make(0, 0)["image"]
    assert batch.max() == 16 and batch.min() == 0 and (batch % 1 != 0).mean() > 0.3
