"""Resizing and cutting, against Pillow (bytes to the bit) and torchvision's rules for sizes."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from netdsl.data import CenterCrop, DataPlan, Grey, MelSpectrogram, PadToSquare, Resize, from_arrays
from netdsl.data.feeds import Feed, Kind
from netdsl.data.normalize import Standardize
from netdsl.data.preprocess import shape_after, steps_from_json, steps_to_json
from netdsl.data.resize import MAX_SIDE
from netdsl.source import NetError

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


@pytest.mark.parametrize("name", FILTERS)
def test_bytes_and_floats_are_resized_as_pillow_does(name):
    rng = np.random.default_rng(0)
    for _ in range(40):
        (h, w), (high, wide) = rng.integers(1, 60, 2), map(int, rng.integers(1, 60, 2))
        resize = Resize(high, wide, name)
        pixels = rng.integers(0, 256, (2, h, w, 3), np.uint8)
        got = resize(pixels)
        for before, after in zip(pixels, got, strict=True):
            # Pillow 13 chooses which side comes first.
            want = (
                Image.fromarray(before)
                .resize((wide, int(h)), FILTERS[name])
                .resize((wide, high), FILTERS[name])
            )
            np.testing.assert_array_equal(after, want)
        floats = rng.random((1, h, w)).astype(np.float32)
        want = Image.fromarray(floats[0]).resize((wide, high), FILTERS[name])
        np.testing.assert_allclose(resize(floats)[0], want, atol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_floats_are_resized_as_pytorch_does(name, antialias):
    import torch

    rng = np.random.default_rng(1)
    for _ in range(30):
        (h, w), (high, wide) = rng.integers(1, 40, 2), map(int, rng.integers(1, 40, 2))
        x = rng.random((2, h, w, 3)).astype(np.float32)
        t = torch.from_numpy(x).permute(0, 3, 1, 2)
        want = torch.nn.functional.interpolate(
            t, (high, wide), mode=name, antialias=antialias, align_corners=False
        ).permute(0, 2, 3, 1)
        np.testing.assert_allclose(Resize(high, wide, name, antialias)(x), want, atol=2e-5)


# torchvision.transforms.functional: resize(size) of the shorter side, center_crop with a border of zeros
@pytest.mark.parametrize(
    ("sample", "steps", "after"),
    [
        ((300, 400, 3), [Resize(256)], (256, 341, 3)),
        ((400, 300, 3), [Resize(256)], (341, 256, 3)),
        ((256, 256), [Resize(256)], (256, 256)),
        ((10, 1000, 1), [Resize(5)], (5, 500, 1)),
        ((3, 5, 1), [Resize(7, 9)], (7, 9, 1)),
        ((300, 400, 3), [Resize(256), CenterCrop(224)], (224, 224, 3)),
        ((300, 400, 3), [CenterCrop(224, 320)], (224, 320, 3)),
        ((5, 5, 3), [CenterCrop(8, 4)], (8, 4, 3)),
    ],
)
def test_sizes(sample, steps, after):
    assert shape_after(steps, sample) == after
    images = np.zeros((2, *sample), np.uint8)
    for step in steps:
        images = step(images)
    assert images.shape == (2, *after)


def test_the_middle():
    images = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5)
    np.testing.assert_array_equal(CenterCrop(3)(images)[0], images[0, 1:4, 1:4])
    np.testing.assert_array_equal(CenterCrop(2)(images)[0], images[0, 2:4, 2:4])  # round(1.5) is 2
    padded = CenterCrop(8, 5)(images)[0]
    np.testing.assert_array_equal(padded[1:6], images[0])
    assert not padded[0].any() and not padded[6:].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resize(0), "resize needs whole numbers from 1"),
        (lambda: Resize(2.5), "resize needs whole numbers"),
        (lambda: Resize(MAX_SIDE + 1), "resize needs whole numbers"),
        (lambda: Resize(8, True), "resize needs whole numbers"),
        (lambda: Resize(8, 8, "cubic"), "interpolation is one of nearest, bilinear, bicubic"),
        (lambda: Resize(8, 8, "bilinear", 1), "antialias is true or false"),
        (lambda: CenterCrop("8"), "center_crop needs whole numbers"),
        (lambda: Resize(8).shape((64,)), r"resize needs pictures .* not \[64\]"),
        (lambda: CenterCrop(8).shape((2, 3, 4, 5)), "center_crop needs pictures"),
        (lambda: Resize(100).shape((1, 1000, 3)), "100000 wide"),
        (
            lambda: DataPlan({"preprocess": ["resize"]}),
            'preprocess holds "resize"; it takes a list of resize',
        ),
        (lambda: DataPlan({"classes": "cat"}), "classes is a list of names"),
        (lambda: DataPlan({"classes": ["cat", "cat"]}), "two classes are called 'cat'"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(NetError, match=message):
        make()


def test_steps_are_written_as_in_a_file():
    assert str(Resize(256)) == "resize(256)" and str(CenterCrop(224, 320)) == "center_crop(224, 320)"
    assert str(Resize(8, 9, "bicubic", False)) == "resize(8, 9, interpolation = bicubic, antialias = false)"


def test_batches_are_preprocessed_before_all_else():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), np.uint8)
    labels = [0, 1, 2, 0, 1, 2]
    steps = [Resize(10), CenterCrop(8)]
    plan = DataPlan({"train": from_arrays(pixels, labels), "preprocess": steps, "normalize": Standardize()})
    want = np.stack([np.asarray(Image.fromarray(p).resize((15, 20), 2).resize((15, 10), 2)) for p in pixels])
    want = want[:, 1:9, 4:12]  # round(3.5) is 4
    batch = plan.evaluation_batches("train", 6, [Feed("image", Kind.INPUT, (192,))]).make(0, 0)
    mean, std = (f(want / 255, axis=(0, 1, 2)) for f in (np.mean, np.std))
    np.testing.assert_allclose(batch["image"].reshape(6, 8, 8, 3), (want / 255 - mean) / std, atol=1e-5)
    assert plan.preparations()["image"].sample == (8, 8, 3)
    assert plan.preparations()["image"].preprocess == tuple(steps)
    assert plan.training_batches(6, [Feed("image", Kind.INPUT, (8, 8, 3))]).make(0, 0)["image"].shape == (
        6,
        8,
        8,
        3,
    )
    maps = from_arrays(pixels, np.zeros((6, 20, 20), int))
    with pytest.raises(NetError, match="not of labels that are maps"):
        DataPlan({"train": maps, "preprocess": steps}).training_batches(6)


def test_few_grey_levels_are_not_rounded_to_them():
    """Digits of 0 to 16 are bytes; between two of them are more levels than 17."""
    pixels = np.zeros((1, 2, 2, 1), np.uint8)
    pixels[0, 0] = 1
    plan = DataPlan({"train": from_arrays(pixels, [0], white=16.0), "preprocess": [Resize(4)]})
    assert len(np.unique(plan.evaluation_batches("train", 1).make(0, 0)["image"])) > 2


@pytest.mark.parametrize(
    "steps", [[Resize(10), CenterCrop(8)], [PadToSquare(), Resize(12)], [CenterCrop(26), Grey()]], ids=str
)
def test_masks_go_along_with_their_pictures(steps):
    """A mask of whole numbers is a picture's channel in nearest interpolation; what borders get is ignored."""
    pixels = np.random.default_rng(0).integers(0, 9, (6, 20, 30, 3), np.uint8)
    masks = pixels[..., 0].astype(np.int64)
    feeds = [Feed("image", Kind.INPUT), Feed("label", Kind.TARGET, integers=True, ignored=99)]
    plan = DataPlan({"train": from_arrays(pixels, masks), "preprocess": steps, "normalize": "raw"})
    made = plan.evaluation_batches("train", 6, feeds).make(0, 0)
    assert (
        plan.outline("train", feeds).arrays["label"].shape
        == made["label"].shape[1:]
        == made["image"].shape[1:3]
    )
    for mask, after in zip(masks, made["label"], strict=True):
        image = Image.fromarray((mask + 1).astype(np.uint8))
        for step in steps:
            if isinstance(step, PadToSquare):
                image = ImageOps.pad(image, (30, 30), Image.Resampling.NEAREST)
            elif isinstance(step, Resize):
                long = int(step.height * 30 / 20) if image.size[0] != image.size[1] else step.height
                image = image.resize((long, step.height), Image.Resampling.NEAREST)
            elif isinstance(step, CenterCrop):
                left, top = round((image.size[0] - step.height) / 2), round((image.size[1] - step.height) / 2)
                image = image.crop((left, top, left + step.height, top + step.height))
        expected = np.asarray(image).astype(int) - 1
        np.testing.assert_array_equal(after, np.where(expected < 0, 99, expected))


def test_grey_is_that_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), np.uint8)
    expected = np.stack([np.asarray(Image.fromarray(p).convert("L")) for p in pixels])
    np.testing.assert_array_equal(Grey()(pixels)[..., 0], expected)
    np.testing.assert_allclose(Grey()(pixels.astype(np.float32))[..., 0], expected, atol=0.51)
    assert Grey()(pixels[..., :1]).shape == (4, 20, 30, 1)
    with pytest.raises(NetError, match="grey needs pictures of 3 channels, or 1, not 4"):
        Grey().shape((5, 5, 4))


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (PadToSquare(), "pad_to_square"),
        (Grey(), "grey"),
        (Resize(8, 9, "bicubic", False), "resize(8, 9, interpolation = bicubic, antialias = false)"),
        (MelSpectrogram(8000, 40, scale="slaney"), "mel_spectrogram(8000, mels = 40, scale = slaney)"),
    ],
)  # fmt: skip
def test_steps_are_carried_and_written_as_a_file_has_them(step, text):
    assert str(step) == text and steps_from_json(steps_to_json([step])) == (step,)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_by_pillow_gives_the_bits_of_our_own(monkeypatch, interpolation, channels):
    random = np.random.default_rng(7)
    for old, new in [((31, 47), (16, 16)), ((9, 12), (24, 30)), ((64, 40), (7, 63)), ((5, 5), (5, 9))]:
        pictures = random.integers(0, 256, (2, *old, channels), np.uint8)
        fast = Resize(*new, interpolation)(pictures)
        with monkeypatch.context() as without:
            without.setattr("netdsl.data.resize._has_pillow", lambda: False)
            own = Resize(*new, interpolation)(pictures)
        np.testing.assert_array_equal(fast, own)
