"""`folder(...)`: classes by folder, sizes, kinds of pictures, broken ones."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.data.own.folder import Folder
from netdsl.data.resize import CenterCrop, Resize
from netdsl.source import NetError

from .files import CLASSES, break_files, network, pictures

STEPS = "  preprocess = [resize(16), center_crop(16)]"


def netdsl(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp"])
def test_pictures_are_pillows(tmp_path, ending):
    folder = pictures(tmp_path / "pics", 3, (12, 12), ending=ending)
    split = Folder("pics").load(tmp_path)
    assert split.columns["label"].classes == CLASSES
    assert split["label"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    files = [folder / name / f"{k:04}.{ending}" for name in CLASSES for k in range(3)]
    wanted = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files])
    np.testing.assert_array_equal(split["image"], wanted)
    assert split.about == "pics: 9 pictures, 12 x 12, colours, 3 classes (circle 3, cross 3, square 3)"
    assert not split.columns["image"].in_memory


def test_kinds_of_pictures(tmp_path):
    place = tmp_path / "pics" / "a"
    (tmp_path / "pics" / "b").mkdir(parents=True)
    place.mkdir()
    rng = np.random.default_rng(1)
    colours = Image.fromarray(rng.integers(0, 256, (6, 4, 3), np.uint8))
    colours.convert("P").save(place / "palette.png")
    colours.convert("CMYK").save(place / "cmyk.jpg")
    colours.convert("L").save(place / "grey.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    colours.transpose(Image.Transpose.ROTATE_90).save(place / "turned.png", exif=turned)
    clear = colours.convert("RGBA")
    clear.putalpha(0)
    clear.save(place / "clear.png")
    colours.save(tmp_path / "pics" / "b" / "plain.png")
    split = Folder("pics").load(tmp_path)
    found = dict(zip(("clear", "cmyk", "grey", "palette", "turned", "plain"), split["image"], strict=True))
    np.testing.assert_array_equal(found["turned"], np.asarray(colours))
    np.testing.assert_array_equal(found["plain"], np.asarray(colours))
    np.testing.assert_array_equal(
        found["palette"], np.asarray(Image.open(place / "palette.png").convert("RGB"))
    )
    np.testing.assert_array_equal(found["grey"], np.repeat(np.asarray(colours.convert("L"))[..., None], 3, 2))
    assert (found["clear"] == 255).all()
    assert Folder("pics", channels=1).load(tmp_path)["image"].shape == (6, 6, 4, 1)


def test_deep_pictures(tmp_path):
    pictures(tmp_path / "pics", 1, (5, 5), classes=("a", "b"))
    deep = np.arange(25, dtype=np.uint16).reshape(5, 5) * 2000
    for name in "ab":
        Image.fromarray(deep).save(tmp_path / "pics" / name / "0000.png")
    split = Folder("pics").load(tmp_path)
    np.testing.assert_array_equal(split["image"][0, ..., 0], deep)
    plan = DataPlan({"train": Folder("pics")}, base=tmp_path)
    np.testing.assert_allclose(
        plan.training_batches(2).make(0, 0)["image"][0, ..., 0], deep / 65535, rtol=1e-6
    )
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(tmp_path / "pics" / "b" / "0001.png")
    with pytest.raises(NetError, match=r"0000.png has 16 bits|has 8 bits"):
        Folder("pics").load(tmp_path)


def test_a_test_set_with_fewer_classes_keeps_their_numbers(tmp_path):
    pictures(tmp_path / "train", 2, (8, 8))
    pictures(tmp_path / "test", 2, (8, 8), classes=("cross", "square"))
    plan = DataPlan({"train": Folder("train"), "test": Folder("test")}, base=tmp_path)
    assert plan.test["label"].tolist() == [1, 1, 2, 2]
    assert plan.test.columns["label"].classes == CLASSES
    shutil.move(tmp_path / "test" / "square", tmp_path / "test" / "sqare")
    plan = DataPlan({"train": Folder("train"), "test": Folder("test")}, base=tmp_path)
    with pytest.raises(NetError, match="has the class sqare, which the training set has not") as caught:
        plan.outline("test")
    assert caught.value.diagnostics[0].fix == "did you mean square?"


def test_a_folder_without_classes(tmp_path):
    pictures(tmp_path / "pics", 3, (8, 8), classes=("only",))
    split = Folder("pics/only").load(tmp_path)
    assert list(split.columns) == ["image"] and len(split) == 3
    with pytest.raises(NetError, match="the folder of one class, only"):
        Folder("pics").load(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: None, "there is no folder"),
        (lambda f: f.mkdir(), "there are no pictures in"),
        (lambda f: f.write_text("x"), "pics is no folder"),
        (
            lambda f: pictures(f, 1, classes=("a", "b")) and (f / "c").mkdir(),
            "there are no pictures in .*c, the folder",
        ),
        (lambda f: shutil.copy(pictures(f, 1) / "cross" / "0000.png", f), "has 1 picture beside the folders"),
    ],
)
def test_folders_that_are_none(tmp_path, make, message):
    make(tmp_path / "pics")
    with pytest.raises(NetError, match=message):
        Folder("pics").load(tmp_path)
    with pytest.raises(NetError, match=message):
        Folder("pics").outline(tmp_path)


@pytest.mark.parametrize(
    "settings", [{"folder": 3}, {"folder": "a", "channels": 2}, {"folder": "a", "broken": "ignore"}]
)
def test_wrong_settings(settings):
    with pytest.raises(NetError, match=f"^error.data.: {list(settings)[-1]} "):
        Folder(**settings)


def test_training_leaves_out_broken_ones_as_if_they_were_not_there(tmp_path, capsys):
    folder = pictures(tmp_path / "pics", 20)
    files = sorted(folder.glob("*/*.png"))
    broken = files[3::15]
    break_files(broken)
    path = network(tmp_path, f'  train = folder("pics", broken = "skip")\n{STEPS}', (16, 16, 3))
    assert netdsl("train", path, "--out", tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert f"train: {len(broken)} skipped: " in said and str(broken[0]) in said
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[1]["event"] == "data"
    assert [m.split(" is ")[0] for m in lines[1]["skipped"]["train"]] == [str(p) for p in broken]
    for path_ in broken:
        path_.unlink()
    other = network(tmp_path, f'  train = folder("pics")\n  workers = 1\n{STEPS}', (16, 16, 3))
    assert netdsl("train", other, "--out", tmp_path / "other") == 0
    again = [json.loads(line) for line in (tmp_path / "other" / "metrics.jsonl").read_text().splitlines()]
    assert [e["train"] for e in again if e["event"] == "epoch"] == [
        e["train"] for e in lines if e["event"] == "epoch"
    ]


def test_broken_ones_are_refused(tmp_path, capsys):
    folder = pictures(tmp_path / "pics", 4)
    path = network(tmp_path, f'  train = folder("pics")\n{STEPS}', (16, 16, 3), train="batch = 4")
    text = sorted(folder.glob("*/*.png"))[5]
    whole = text.read_bytes()
    text.write_bytes(b"no picture")
    for command in ("check", "train"):
        assert netdsl(command, path) == 1
        said = capsys.readouterr().err
        assert "1 of 12 pictures in pics cannot be read" in said and f"note: {text} is no picture" in said
        assert 'help: broken = "skip" leaves them out' in said and "own.net:6:11" in said
    # The header is whole: it is found when it is decoded, in the first epoch.
    text.write_bytes(whole[: len(whole) // 2])
    assert netdsl("check", path) == 0
    assert netdsl("train", path, "--out", tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert f"{text} is damaged" in said and 'broken = "skip" decodes every file' in said


def test_check_decodes_nothing(tmp_path, monkeypatch, capsys):
    pictures(tmp_path / "pics", 14)
    path = network(
        tmp_path, f'  train = folder("pics", broken = "skip")\n  validation = 0.2\n{STEPS}', (16, 16, 3)
    )
    monkeypatch.setattr("netdsl.data.own.pictures.read_picture", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    assert netdsl("check", path) == 0
    wrong = network(tmp_path, f'  train = folder("pics")\n{STEPS}', (17, 16, 3))
    assert netdsl("check", wrong) == 1
    assert "samples of shape [16, 16, 3], the network takes [17, 16, 3]" in capsys.readouterr().err
    two = network(tmp_path, f'  train = folder("pics")\n{STEPS}', (16, 16, 3), classes=2)
    assert netdsl("check", two) == 1
    assert "has the label 2, the network 2 classes" in capsys.readouterr().err


def test_resume_goes_on_with_the_same_bits(tmp_path):
    pictures(tmp_path / "pics", 8)
    path = network(
        tmp_path, f'  train = folder("pics")\n  augment = flip\n{STEPS}', (16, 16, 3), train="batch = 5"
    )
    for name, words in (("whole", ["--set", "train.epochs=3"]), ("part", [])):
        assert netdsl("train", path, "--out", tmp_path / name, *words) == 0
    assert netdsl("train", path, "--out", tmp_path / "part", "--set", "train.epochs=3", "--resume") == 0
    logs = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "part")]
    last = [[json.loads(line)["train"] for line in log if '"epoch": 3' in line] for log in logs]
    assert last[0] == last[1]


def test_preprocessing_happens_sample_by_sample(tmp_path):
    folder = pictures(tmp_path / "pics", 4)
    plan = DataPlan(
        {"train": Folder("pics"), "preprocess": [Resize(16), CenterCrop(16)], "normalize": "raw"},
        base=tmp_path,
    )
    found = plan.evaluation_batches("train", 12).make(0, 0)["image"]
    for row, path in zip(found, sorted(folder.glob("*/*.png")), strict=True):
        with Image.open(path) as image:
            short = min(image.size)
            sides = [max(1, int(16 * side / short)) if side != short else 16 for side in image.size]
            resized = image.resize(sides, Image.Resampling.BILINEAR)
            left, top = (round((side - 16) / 2) for side in sides)
            np.testing.assert_array_equal(row, np.asarray(resized.crop((left, top, left + 16, top + 16))))


@pytest.mark.slow
def test_three_thousand_pictures_with_twelve_broken_ones(tmp_path, capsys):
    folder = pictures(tmp_path / "pics", 1000, (24, 48))
    broken = sorted(folder.glob("*/*.png"))[100::250]
    assert len(broken) == 12
    break_files(broken)
    data = f'  train = folder("pics", broken = "skip")\n  validation = 0.1\n{STEPS}'
    assert netdsl("train", network(tmp_path, data, (16, 16, 3)), "--out", tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert "2,988 pictures" in said and "12 skipped" in said
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines[1]["skipped"]["train"]) == 12 and lines[-1]["validation"]["accuracy"] > 0.9
