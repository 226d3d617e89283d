"""What the network sees under every `normalize`, of every type, in every set and in `run`: numbers by hand."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

from netdsl.data import DataPlan, Usage, from_arrays
from netdsl.data.normalize import Normalization, Raw, Scale, Standardize
from netdsl.elaborate import elaborate
from netdsl.predict.samples import read_samples
from netdsl.source import NetError, NetWarning, Source

VALUES = np.arange(240, dtype=np.uint8).reshape(8, 6, 5, 1)
LABELS = np.arange(8) % 2
TYPES = {
    "uint8": VALUES,
    "int64": VALUES.astype(np.int64),
    "uint16": VALUES.astype(np.uint16),
    "floats to 1": (VALUES / 255).astype(np.float32),
    "floats to 255": VALUES.astype(np.float32),
}


def unit(x, kind):
    """What `scale` makes of it: only integers are divided."""
    return x / 255 if "float" not in kind else x


def standardized(x, kind):
    """From 0 to 239 in steps of 1 the mean is 119.5, the variance (240^2 - 1) / 12."""
    mean, std = 119.5, np.sqrt((240**2 - 1) / 12)
    return (x - mean / 255) / (std / 255) if kind == "floats to 1" else (x - mean) / std


WAYS = {
    "raw": (Raw(), lambda x, kind: x),
    "scale": (Scale(), unit),
    "scale(1)": (Scale(1), lambda x, kind: x),
    "scale(100)": (Scale(100), lambda x, kind: x / 100),
    "scale(255)": (Scale(255), lambda x, kind: x / 255),
    "scale(512)": (Scale(512), lambda x, kind: x / 512),
    "standardize": (Standardize(), standardized),
    "standardize(0.25, 0.5)": (Standardize(0.25, 0.5), lambda x, kind: (unit(x, kind) - 0.25) / 0.5),
}
CASES = pytest.mark.parametrize(("way", "kind"), [(w, k) for w in WAYS for k in TYPES])


def planned(way, kind):
    split = from_arrays(TYPES[kind], LABELS)
    settings = {"train": split, "test": split, "validation": split, "normalize": WAYS[way][0]}
    return DataPlan(settings)


def close(seen, way, kind, stored):
    np.testing.assert_allclose(seen, WAYS[way][1](stored.astype(np.float64), kind), rtol=1e-5, atol=1e-5)


@CASES
def test_every_set(way, kind):
    plan = planned(way, kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan.compare()
        batch = plan.training_batches(8).make(0, 0)
        close(batch["image"], way, kind, TYPES[kind][batch.indices])
        for name in ("train", "validation", "test"):
            close(plan.evaluation_batches(name, 8).make(0, 0)["image"], way, kind, TYPES[kind])
    assert not [str(w.message) for w in caught if "training set" in str(w.message)]


@pytest.mark.parametrize("kind", TYPES)
def test_a_share_for_validation(kind):
    split = from_arrays(TYPES[kind], LABELS)
    plan = DataPlan({"train": split, "validation": 0.25, "normalize": Scale(100)})
    seen = plan.evaluation_batches("validation", 2).make(0, 0)["image"]
    close(seen, "scale(100)", kind, plan.validation["image"])


@CASES
@pytest.mark.filterwarnings("ignore::netdsl.source.NetWarning")
def test_run(way, kind, tmp_path):
    """The arrays of the training set, and the same picture as a PNG."""
    usage = Usage.from_json(json.loads(json.dumps(Usage(planned(way, kind).preparations()).to_json())))
    text = "net Small { input image: [6, 5, 1]; output logits = image -> flatten -> dense(2) }"
    leaves = elaborate(Source("small.net", text)).graph.leaves("input")
    np.save(tmp_path / "x.npy", TYPES[kind])
    Image.fromarray(VALUES[3, ..., 0]).save(tmp_path / "x.png")
    (seen,) = next(iter(read_samples([tmp_path / "x.npy"], leaves, usage).batches(8))).values()
    close(seen, way, kind, TYPES[kind])
    (seen,) = next(iter(read_samples([tmp_path / "x.png"], leaves, usage).batches(1))).values()
    close(seen, way, kind, TYPES[kind][3:4])


def test_a_number_that_is_given_tells_white_where_it_is_a_guess():
    """12 bits whose largest is 4080, and bytes of 0 to 16: a white pixel of a picture is 1 to them."""
    white = from_arrays(np.full((1, 2, 2), 255, np.uint8), [0], white=255).columns["image"].pixels
    for most, kind, high in ((4095, np.uint16, 4080), (16, np.uint8, 16)):
        samples = np.array([[[0, high]]], kind)
        fitted = Scale(most).fit(from_arrays(samples, [0]).columns["image"])
        np.testing.assert_allclose(fitted(samples), samples / np.float32(most))
        np.testing.assert_allclose(fitted.of(white, "x.png")(np.array([255.0])[None]), 1, rtol=1e-6)


@pytest.mark.parametrize("way", [Raw(), Scale(), Scale(100)])
def test_a_little_above_the_training_set_is_in_its_units(way):
    """A table of 0 to 400, and of 0 to 410 in the test set: 200 stays 200."""
    plan = DataPlan(
        {
            "train": from_arrays([[0, 200], [400, 1]], [0, 1]),
            "test": from_arrays([[0, 200], [410, 1]], [0, 1]),
            "normalize": way,
        }
    )
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        train, test = (plan.evaluation_batches(name, 2).make(0, 0)["image"] for name in ("train", "test"))
    assert test[0, 1] == train[0, 1]


SIGNS = [
    ((0, 1), (-1, 1), True),
    ((-1, 1), (0, 1), True),
    ((-1, 1), (-0.9, 1), False),
    ((0, 1), (-0.02, 1.02), False),
    ((-0.02, 1.02), (0, 1), False),
    ((0, 1), (-5, -1), True),
    ((0, 255), (-128, 127), True),
]


@pytest.mark.parametrize(("trained", "given", "said"), SIGNS)
def test_a_sign_that_comes_or_goes_is_another_range(trained, given, said):
    pixels = [
        from_arrays(np.array([[[r]] for r in pair], np.float32), [0, 1]).columns["image"].pixels
        for pair in (trained, given)
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept = Normalization(2.0, pixels=pixels[0]).of(pixels[1], "the test set")
    assert kept.peak == 2.0
    assert [w.category for w in caught] == [NetWarning] * said
    if said:
        assert f"from {given[0]} to {given[1]}, the training set" in str(caught[0].message)


def test_a_spread_that_float32_does_not_hold_is_none():
    images = np.where(np.arange(16).reshape(8, 2) % 3 == 0, 1e-42, 0)
    plan = DataPlan({"train": from_arrays(images, LABELS), "normalize": "standardize"})
    batch = plan.training_batches(8).make(0, 0)
    assert np.abs(batch["image"]).max() < 1e-40


def test_numbers_on_disk_that_are_none_are_told(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(8, 2))
    x[:] = np.arange(16).reshape(8, 2)
    x[5, 1] = np.nan
    with pytest.raises(NetError, match=r"sample 5 of image: .* not finite numbers in float32: nan$"):
        DataPlan({"train": from_arrays(x, LABELS)}).training_batches(8).make(0, 0)
