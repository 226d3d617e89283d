"""`pairs(...)`: pictures and masks of the same names."""

import json

import numpy as np
import pytest
from PIL import Image

from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.data.own.pairs import Pairs
from netdsl.data.resize import CenterCrop, Resize
from netdsl.source import NetError

RED, GREEN = (255, 0, 0), (0, 128, 0)


def pairs(base, count=4, kind="P", size=lambda k: (10 + k, 12), classes=3, seed=0):
    """Pictures with a bright square, and masks that say where it is; returns the class numbers of each."""
    rng, made = np.random.default_rng(seed), []
    (base / "img").mkdir(parents=True)
    (base / "msk").mkdir()
    for k in range(count):
        height, width = size(k)
        mask = np.zeros((height, width), np.uint8)
        top, left = rng.integers(1, height // 2), rng.integers(1, width // 2)
        mask[top : top + height // 2, left : left + width // 2] = 1 + k % (classes - 1)
        picture = rng.integers(0, 80, (height, width, 3)).astype(np.uint8)
        picture[mask == 1, 0], picture[mask == 2, 1] = 220, 220
        Image.fromarray(picture).save(base / "img" / f"{k:03}.jpg", quality=95)
        save_mask(base / "msk" / f"{k:03}.png", mask, kind)
        made.append(mask.astype(np.int64))
    return made


def save_mask(path, mask, kind):
    if kind == "P":
        image = Image.fromarray(mask, "P")
        image.putpalette([0, 0, 0, *RED, *GREEN])
    elif kind == "RGB":
        image = Image.fromarray(np.array([(0, 0, 0), GREEN, RED], np.uint8)[mask])
    elif kind == "1":
        image = Image.fromarray(mask > 0)
    else:
        image = Image.fromarray((mask * (255 if kind == "255" else 1)).astype(np.uint8))
    image.save(path)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("kind", ["P", "L", "RGB", "1", "255"])
def test_kinds_of_masks(tmp_path, kind):
    classes = 2 if kind in ("1", "255") else 3
    made = pairs(tmp_path, kind=kind, classes=classes)
    split = Pairs("img", "msk").load(tmp_path)
    label = split.columns["label"]
    for row, mask in zip(label.values.read(np.arange(4)), made, strict=True):
        np.testing.assert_array_equal(row, mask)
    assert label.found.tolist() == list(range(classes)) and label.integers
    assert label.classes == (("#000000", "#008000", "#ff0000") if kind == "RGB" else None)
    pictures = split.columns["image"].values.read(np.arange(4))
    for row, path in zip(pictures, sorted((tmp_path / "img").glob("*")), strict=True):
        np.testing.assert_array_equal(row, np.asarray(Image.open(path)))


def test_colours_in_the_order_that_is_given(tmp_path):
    made = pairs(tmp_path, kind="RGB")
    split = Pairs("img", "msk", colours=[[255, 0, 0], [0, 0, 0], [9, 9, 9], [0, 128, 0]]).load(tmp_path)
    row = split.columns["label"].values.read(np.array([0]))[0]
    np.testing.assert_array_equal(row, np.array([1, 3, 0])[made[0]])
    assert split.columns["label"].found.tolist() == [0, 1, 3]
    with pytest.raises(NetError, match="have the colour #008000, which is none of the classes"):
        Pairs("img", "msk", colours=[[255, 0, 0], [0, 0, 0]]).load(tmp_path)


def test_a_test_set_has_the_colours_of_the_training_set(tmp_path):
    pairs(tmp_path / "train", kind="RGB")
    made = pairs(tmp_path / "test", kind="RGB", classes=2)
    for mask, path in zip(made, sorted((tmp_path / "test" / "msk").glob("*")), strict=True):
        Image.fromarray(np.array([(0, 0, 0), RED], np.uint8)[mask]).save(path)  # no green one
    plan = DataPlan(
        {"train": Pairs("train/img", "train/msk"), "test": Pairs("test/img", "test/msk")}, base=tmp_path
    )
    row = plan.test.columns["label"].values.read(np.array([1]))[0]
    np.testing.assert_array_equal(row, made[1] * 2)


def test_masks_are_preprocessed_like_their_pictures(tmp_path):
    made = pairs(tmp_path, 6, kind="L")
    steps = [Resize(8), CenterCrop(8)]
    plan = DataPlan({"train": Pairs("img", "msk"), "preprocess": steps, "normalize": "raw"}, base=tmp_path)
    batch = plan.evaluation_batches("train", 6).make(0, 0)
    assert batch["image"].shape == (6, 8, 8, 3) and batch["label"].shape == (6, 8, 8)
    for row, mask in zip(batch["label"], made, strict=True):
        height, width = mask.shape
        sides = (
            (8, max(1, int(8 * width / height))) if height <= width else (max(1, int(8 * height / width)), 8)
        )
        nearest = np.asarray(
            Image.fromarray(mask.astype(np.uint8)).resize(sides[::-1], Image.Resampling.NEAREST)
        )
        top, left = (round((side - 8) / 2) for side in sides)
        np.testing.assert_array_equal(row, nearest[top : top + 8, left : left + 8])
    assert plan.outline("train").arrays["label"].integers and batch["label"].dtype == np.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: (b / "msk" / "001.png").unlink(), r"img/001.jpg has no mask of its name in .*msk$"),
        (
            lambda b: [(b / "img" / f"00{k}.jpg").unlink() for k in (1, 2)],
            "msk/001.png has no picture .* as 1 others",
        ),
        (
            lambda b: Image.new("L", (5, 5)).save(b / "msk" / "001.png"),
            "is 11 x 12, its mask .*001.png 5 x 5",
        ),
        (
            lambda b: Image.new("RGB", (12, 11)).save(b / "msk" / "001.png"),
            "is a mask of colours, .* one of numbers",
        ),
        (
            lambda b: Image.new("L", (12, 10)).save(b / "img" / "000.png"),
            "000.jpg and .*000.png have the same name",
        ),
        (lambda b: (b / "msk" / "001.png").write_bytes(b"no"), "1 of 4 pairs in img and msk cannot be read"),
        (
            lambda b: [
                (b / "msk" / "001.png").unlink(),
                Image.new("L", (12, 11)).save(b / "msk" / "001.jpg"),
            ],
            "1 of 4 pairs in img and msk cannot be read",
        ),
    ],
)
def test_pairs_that_are_none(tmp_path, change, message):
    pairs(tmp_path, kind="L")
    change(tmp_path)
    with pytest.raises(NetError, match=message):
        Pairs("img", "msk").load(tmp_path)


def test_a_broken_mask_takes_its_picture_with_it(tmp_path):
    pairs(tmp_path, kind="L")
    (tmp_path / "msk" / "001.png").write_bytes(b"no")
    split = Pairs("img", "msk", broken="skip").load(tmp_path)
    assert [p.stem for p in split.columns["image"].values.files] == ["000", "002", "003"]
    assert len(split.skipped) == 1 and "001.png" in split.skipped[0]


@pytest.mark.parametrize(
    "given",
    [
        {"images": 1},
        {"masks": ""},
        {"colours": [1]},
        {"colours": [[0, 0, 0]]},
        {"colours": "red"},
        {"broken": 2},
    ],
)
def test_wrong_settings(given):
    with pytest.raises(NetError, match=f"^error.data.: {next(iter(given))} "):
        Pairs(**{"images": "a", "masks": "b"} | given)


NET = """net Segment {
  input image: [12, 12, 3]
  output logits = image -> conv(8, 3, pad = same) -> relu -> conv(%d, 1)
}
data {
  train = pairs(images = "img", masks = "msk")
  validation = 0.2
  preprocess = [resize(12), center_crop(12)]
  augment = flip
}
train {
  loss = cross_entropy(logits, label)
  metrics = [accuracy(logits, label)]
  optimizer = adam(lr = 0.03)
  epochs = 6
  batch = 8
}
"""


@pytest.mark.parametrize("classes", [3, 2])
def test_pictures_and_masks_train(tmp_path, capsys, classes):
    pairs(tmp_path, 60, kind="RGB")
    (tmp_path / "segment.net").write_text(NET % classes)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(tmp_path / "segment.net"), "--out", str(tmp_path / "run")])
    said = capsys.readouterr()
    if classes == 2:  # the values of masks are known once they have been looked through
        assert ended.value.code == 1 and "the train set has the label 2, the network 2 classes" in said.err
        return
    assert not ended.value.code
    assert (
        "img and msk: 60 pairs" in said.out and "masks of 3 classes (#000000, #008000, #ff0000)" in said.out
    )
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["validation"]["accuracy"] > 0.9
