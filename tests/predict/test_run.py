"""`netdsl run` as a person uses it: pictures and arrays in, names, probabilities and files out."""

import csv
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from netdsl.cli.main import main
from netdsl.data import load_split
from tests.calls import call

SMALL = """
net Small {{ input image: {shape}; output logits = image -> flatten -> dense({classes}) }}
data {{ train = {data}; {more} }}
train {{ loss = cross_entropy(logits, label); optimizer = adam(lr = 0.01); epochs = {epochs}; batch = {batch} }}
"""


def train(capsys, folder, data, shape="[8, 8, 1]", classes=10, more="", epochs=1, batch=32):
    """The checkpoint of a small network."""
    file = folder / "small.net"
    file.write_text(
        SMALL.format(shape=shape, classes=classes, data=data, more=more, epochs=epochs, batch=batch)
    )
    with pytest.raises(SystemExit) as caught:
        main(["train", str(file), "--out", str(folder / "run")])
    assert not caught.value.code
    if capsys is not None:
        capsys.readouterr()
    return folder / "run" / "last.safetensors"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A network trained on the digits, and pictures of the first of the test set."""
    folder = tmp_path_factory.mktemp("digits")
    model = train(None, folder, "digits.train", epochs=6)
    split = load_split("digits", "test")
    pixels = np.rint(split["image"][:6, ..., 0] / 16 * 255).astype(np.uint8)
    for k, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{k}.png")
    return model, folder, pixels, split


def best(text):
    """The class of the first line below each title."""
    lines = text.splitlines()
    return [after.split()[0] for line, after in pairwise(lines) if not line.startswith(" ")]


def test_pictures_and_arrays_are_told_alike(capsys, digits):
    model, folder, pixels, split = digits
    np.save(folder / "x.npy", split["image"][:6])
    want = best(call(capsys, "run", model, folder / "x.npy")[1])
    assert sum(name == str(label) for name, label in zip(want, split["label"], strict=False)) >= 5
    assert best(call(capsys, "run", model, *(folder / f"{k}.png" for k in range(6)))[1]) == want
    for mode, ending in [
        ("RGB", "png"),
        ("P", "png"),
        ("CMYK", "tif"),
        ("RGBA", "webp"),
        ("L", "bmp"),
        ("RGB", "gif"),
    ]:
        settings = {"lossless": True} if ending == "webp" else {}
        Image.fromarray(pixels[2]).convert(mode).save(folder / f"m.{ending}", **settings)
        assert best(call(capsys, "run", model, folder / f"m.{ending}")[1]) == want[2:3], mode
    Image.fromarray(pixels[2].astype(np.uint16) * 257).save(folder / "deep.png")
    assert best(call(capsys, "run", model, folder / "deep.png")[1]) == want[2:3]


@pytest.mark.parametrize("shape", [(6, 8, 8), (6, 64), (6, 8, 8, 1), (6, 1, 8, 8)])
def test_run_takes_the_shapes_that_train_takes(capsys, digits, shape):
    model, folder, _, split = digits
    np.save(folder / "want.npy", split["image"][:6])
    np.save(folder / "y.npy", split["image"][:6].reshape(shape))
    want = call(capsys, "run", model, folder / "want.npy")[1]
    assert call(capsys, "run", model, folder / "y.npy")[1] == want
    np.save(folder / "one.npy", split["image"][0].reshape(shape[1:]))
    assert call(capsys, "run", model, folder / "one.npy")[1] == "\n".join(want.splitlines()[:6]) + "\n"


def test_it_is_pleasant_at_40_columns(capsys, digits, monkeypatch):
    model, folder, _, _ = digits
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.chdir(folder)
    code, out, err = call(capsys, "run", model, "0.png", "1.png", "--top", "3")
    lines = out.splitlines()
    assert code == 0 and err == "" and len(lines) == 8 and lines[0] == "0.png" and lines[4] == "1.png"
    assert (
        all(len(line) <= 40 for line in lines) and len({len(line) for line in lines if line[0] == " "}) == 1
    )
    shares = [float(line.split()[1]) for line in lines[1:4]]
    assert shares == sorted(shares, reverse=True) and 99 < sum(shares) <= 100.01


def test_json_has_everything(capsys, digits):
    model, folder, _, _ = digits
    code, out, _ = call(capsys, "run", model, folder / "0.png", "--format", "json", "--top", "2")
    found = json.loads(out)
    assert code == 0 and found["inputs"] == [{"name": str(folder / "0.png"), "notes": []}]
    logits = np.array(found["outputs"]["logits"][0])
    p = np.exp(logits) / np.exp(logits).sum()
    (row,) = found["classes"]["logits"]
    assert [answer["class"] for answer in row] == np.argsort(-p)[:2].tolist()
    np.testing.assert_allclose([answer["probability"] for answer in row], np.sort(p)[:-3:-1], rtol=1e-5)
    assert row[0]["name"] == str(row[0]["class"])


@pytest.mark.parametrize("ending", ["npz", "npy", "json", "csv"])
def test_the_ending_decides(capsys, digits, ending):
    model, folder, _, _ = digits
    want = json.loads(call(capsys, "run", model, folder / "0.png", folder / "1.png", "--format", "json")[1])
    logits = np.array(want["outputs"]["logits"])
    path = folder / f"out.{ending}"
    code, out, _ = call(capsys, "run", model, folder / "0.png", folder / "1.png", "--out", path)
    assert code == 0 and out == f"written to {path}\n"
    if ending == "json":
        assert json.loads(path.read_text()) == want
    elif ending == "csv":
        header, *rows = csv.reader(path.open())
        assert header == ["input", "logits", *map(str, range(10))] and rows[1][0] == str(folder / "1.png")
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose([list(map(float, row[2:])) for row in rows], p, rtol=1e-4)
        assert [int(row[1]) for row in rows] == p.argmax(axis=1).tolist()
    else:
        found = np.load(path)
        np.testing.assert_allclose(found if ending == "npy" else found["logits"], logits, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("y.txt", "the ending of"),
        ("y", "the ending of"),
        ("y.nzp", r"did you mean .*y\.npz\?"),
        ("y.png", r"no output is a picture, .*: logits \[10\]"),
        ("y.jpg", "no output is a picture"),
    ],
)
def test_other_endings_are_refused_before_anything_is_read(capsys, digits, name, message):
    model, folder, _, _ = digits
    code, out, err = call(capsys, "run", model, "there is no such file.png", "--out", folder / name)
    assert code == 1 and out == "" and re.search(message, err), err
    assert not (folder / name).exists()


BAD_INPUTS = {
    "missing": (lambda f: "none.png", "there is no file none.png"),
    "another size": (lambda f: f / "wide.png", r"wide.png is 10 x 8, the network takes 8 x 8"),
    "no picture": (lambda f: f / "text.png", "is no picture"),
    "a kind": (lambda f: f / "small.net", "is of no kind that can be read"),
    "shape": (lambda f: f / "wide.npy", r"takes \[N, 8, 8, 1\], .* has \[2, 10, 8, 1\]"),
    "nothing": (lambda f: f / "none.npy", "there are no samples"),
    "a folder without": (lambda f: f / "run", "there are no pictures"),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_diagnosed(capsys, digits, kind):
    model, folder, _, _ = digits
    Image.new("L", (10, 8)).save(folder / "wide.png")
    (folder / "text.png").write_text("hello")
    np.save(folder / "wide.npy", np.zeros((2, 10, 8, 1)))
    np.save(folder / "none.npy", np.zeros((0, 8, 8, 1)))
    make, message = BAD_INPUTS[kind]
    code, out, err = call(capsys, "run", model, make(folder))
    assert code == 1 and out == "" and re.search(message, err), err
    assert "Traceback" not in err


def test_another_size_says_what_to_do_and_that_does_it(capsys, digits):
    model, folder, pixels, _ = digits
    Image.fromarray(pixels[2]).resize((80, 80)).save(folder / "big.png")
    _, _, err = call(capsys, "run", model, folder / "big.png")
    assert "run it with --resize, or train with data { preprocess = [resize(8), center_crop(8)] }" in err
    code, out, _ = call(capsys, "run", model, folder / "big.png", "--resize")
    assert code == 0 and out.startswith(f"{folder / 'big.png'} (80 x 80 to 8 x 8)\n  4 ")
    assert call(capsys, "run", model, folder / "x.npy", "--resize")[0] == 1


def test_a_folder_and_files_that_are_not_alone(capsys, digits, tmp_path):
    model, folder, pixels, _ = digits
    for k in (1, 0):
        Image.fromarray(pixels[k]).save(tmp_path / f"{k}.png")
    (tmp_path / "notes.txt").write_text("")
    _, out, _ = call(capsys, "run", model, tmp_path, folder / "2.png", "--top", "1")
    assert [line for line in out.splitlines() if line[0] != " "] == [
        str(tmp_path / "0.png"),
        str(tmp_path / "1.png"),
        str(folder / "2.png"),
    ]
    np.save(tmp_path / "x.npy", pixels[0])
    code, _, err = call(capsys, "run", model, tmp_path / "0.png", tmp_path / "x.npy")
    assert code == 1 and "x.npy stands alone" in err


def test_many_samples_say_how_many_are_not_shown(capsys, digits):
    model, folder, _, split = digits
    np.save(folder / "many.npy", split["image"][:150])
    _, out, _ = call(capsys, "run", model, folder / "many.npy", "--top", "1")
    assert out.count("sample") == 21 and out.endswith("and 130 more samples: --out FILE writes all of them\n")
    np.save(folder / "few.npy", split["image"][140:150])
    (a, b) = (call(capsys, "run", model, folder / f, "--format", "json")[1] for f in ("many.npy", "few.npy"))
    a, b = (json.loads(text)["outputs"]["logits"] for text in (a, b))
    np.testing.assert_allclose(a[140:], b, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::netdsl.source.NetWarning")
@pytest.mark.parametrize("dtype", ["0..1", "int64", "0..255 raw"])
def test_pictures_for_a_network_that_saw_other_numbers(capsys, digits, tmp_path, dtype):
    """PNGs reach a network trained on floats from 0 to 1 in its own units."""
    _, folder, _, _ = digits
    split = load_split("digits", "train")
    x = split["image"] / 16
    x = {"0..1": x, "int64": np.rint(x * 255).astype(int), "0..255 raw": x * 255}[dtype]
    names = np.array([f"digit {k}" for k in range(10)])
    np.savez(tmp_path / "data.npz", x=x.astype(x.dtype), y=split["label"], classes=names)
    more = "normalize = raw" if "raw" in dtype else ""
    model = train(capsys, tmp_path, 'npz("data.npz")', more=more, epochs=6)
    _, out, _ = call(capsys, "run", model, *(folder / f"{k}.png" for k in range(6)), "--top", "1")
    told = [line.split()[1] for line in out.splitlines() if line.startswith("  digit")]
    labels = load_split("digits", "test")["label"][:6]
    assert len(told) == 6 and sum(int(a) == b for a, b in zip(told, labels, strict=True)) >= 5


def test_the_preprocess_of_training_holds(capsys, tmp_path):
    """Two classes by colour, pictures of any size, names from the file."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, (40, 30, 40, 3), np.uint8)
    y = np.arange(40) % 2
    x[y == 0, ..., 0] += 150
    x[y == 1, ..., 2] += 150
    np.savez(tmp_path / "data.npz", x=x, y=y)
    more = 'preprocess = [resize(8, interpolation = bicubic), center_crop(6)]; classes = ["red", "blue"]'
    model = train(capsys, tmp_path, 'npz("data.npz")', "[6, 6, 3]", 2, more, epochs=20, batch=20)
    for k, size in enumerate([(40, 30), (100, 50), (9, 200)]):
        Image.new("RGBA", size, (220, 40, 40, 255) if k else (40, 40, 220, 255)).save(tmp_path / f"{k}.png")
    code, out, _ = call(capsys, "run", model, *(tmp_path / f"{k}.png" for k in range(3)), "--top", "1")
    assert code == 0 and best(out) == ["blue", "red", "red"] and "(100 x 50 to 6 x 6)" in out
    np.save(tmp_path / "x.npy", x[:2])
    assert best(call(capsys, "run", model, tmp_path / "x.npy", "--top", "1")[1]) == ["red", "blue"]
    assert call(capsys, "run", model, tmp_path / "0.png", "--resize")[0] == 1
    assert call(capsys, "eval", tmp_path / "small.net", model, "--on", "train")[0] == 0
    code, _, err = call(
        capsys,
        "train",
        tmp_path / "small.net",
        "--out",
        model.parent,
        "--resume",
        "--set",
        "data.preprocess=[resize(6, 6)]",
    )
    assert code == 1 and "was trained with data.preprocess = [resize(8, interpolation = bicubic)" in err


def test_numbers_that_are_no_pixels_are_not_guessed(capsys, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(32, 8, 8, 1)), y=np.arange(32) % 3)
    model = train(capsys, tmp_path, 'npz("data.npz")', classes=3)
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    code, _, err = call(capsys, "run", model, tmp_path / "a.png")
    assert code == 1 and "are no pixels: nobody knows which is white" in err


MAPS = """
net Maps {{ input image: [6, 8, 3]; output {output} }}
data {{ train = npz("data.npz") }}
train {{ loss = {loss}; epochs = 1; batch = 8 }}
"""


def maps(capsys, folder, output, loss, y):
    x = np.random.default_rng(0).integers(0, 256, (16, 6, 8, 3), np.uint8)
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "maps.net").write_text(MAPS.format(output=output, loss=loss))
    with pytest.raises(SystemExit):
        main(["train", str(folder / "maps.net"), "--out", str(folder / "run")])
    capsys.readouterr()
    Image.fromarray(x[0]).save(folder / "a.png")
    np.save(folder / "x.npy", x[:2])
    return folder / "run" / "last.safetensors"


def test_a_map_of_classes_is_a_picture_of_class_numbers(capsys, tmp_path):
    y = np.random.default_rng(1).integers(0, 3, (16, 6, 8))
    model = maps(capsys, tmp_path, "logits = image -> conv(3, 1)", "cross_entropy(logits, label)", y)
    found = json.loads(call(capsys, "run", model, tmp_path / "a.png", "--format", "json")[1])
    winners = np.array(found["outputs"]["logits"][0]).argmax(axis=-1)
    code, _, _ = call(capsys, "run", model, tmp_path / "a.png", "--out", tmp_path / "mask.png")
    image = Image.open(tmp_path / "mask.png")
    assert code == 0 and image.mode == "P" and image.size == (8, 6)
    np.testing.assert_array_equal(np.asarray(image), winners)
    assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # PASCAL VOC's
    shares = [(a["class"], a["share"]) for a in found["classes"]["logits"][0]]
    assert shares == sorted(
        ((int(k), (winners == k).mean()) for k in np.unique(winners)), key=lambda s: -s[1]
    )
    code, _, err = call(capsys, "run", model, tmp_path / "a.png", "--out", tmp_path / "mask.jpg")
    assert code == 1 and ".jpg keeps no class numbers" in err and "mask.png" in err


def test_pictures_are_written_as_pictures(capsys, tmp_path):
    y = np.random.default_rng(1).random((16, 6, 8, 3)).astype(np.float32)
    output = "y = image -> conv(3, 1) -> sigmoid; output wild = image -> conv(3, 1)"
    model = maps(capsys, tmp_path, output, "mse(y, target)", y)
    code, out, err = call(capsys, "run", model, tmp_path / "x.npy", "--out", tmp_path / "o.png")
    names = ["o-y-0.png", "o-y-1.png", "o-wild-0.png", "o-wild-1.png"]
    assert code == 0 and out == f"written to {', '.join(str(tmp_path / n) for n in names)}\n"
    assert "% of wild is not from 0 to 1: cut off in the picture" in err and "% of y" not in err
    outputs = json.loads(call(capsys, "run", model, tmp_path / "x.npy", "--format", "json")[1])["outputs"]
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / names[1])), np.rint(np.array(outputs["y"][1]) * 255)
    )
    clipped = np.rint(np.clip(np.array(outputs["wild"][0]), 0, 1) * 255)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / names[2])), clipped)
    assert call(capsys, "run", model, tmp_path / "a.png", "--out", tmp_path / "o.jpg")[0] == 0
    assert Image.open(tmp_path / "o-y.jpg").format == "JPEG"
    code, _, err = call(capsys, "run", model, tmp_path / "a.png", "--out", tmp_path / "o.csv")
    assert code == 1 and ".csv holds tables, y is [6, 8, 3]" in err
    code, _, err = call(capsys, "run", model, tmp_path / "a.png", "--out", tmp_path / "o.npy")
    assert code == 1 and ".npy holds one array, the outputs are y, wild" in err


def test_sets_are_compared_before_training(capsys, tmp_path):
    """A test set in other units is said at the start, once, and counts right."""
    train_set, test_set = load_split("digits", "train"), load_split("digits", "test")
    np.savez(tmp_path / "a.npz", x=np.uint8(train_set["image"] * 15), y=train_set["label"])
    np.savez(tmp_path / "b.npz", x=test_set["image"] / 17, y=test_set["label"])
    file = tmp_path / "n.net"
    text = SMALL.format(
        shape="[8, 8, 1]", classes=10, data='npz("a.npz")', more='test = npz("b.npz")', epochs=6, batch=32
    )
    file.write_text(text.replace("epochs", "metrics = [accuracy(logits, label)]; epochs"))
    code, out, err = call(capsys, "train", file, "--out", tmp_path / "run")
    assert (
        code == 0 and err.count("the test set is float64 from 0 to ") <= 1 and err.count("warning[data]") == 1
    )
    assert "the training set uint8 from 0 to 240: 1 in it is taken for 255 there" in err
    assert float(re.search(r"test: .*accuracy ([\d.]+) %", out)[1]) > 88
    words = ("eval", file, tmp_path / "run" / "last.safetensors", "--set", "data.normalize=raw")
    code, out, err = call(capsys, *words)
    assert code == 0 and "trained with data.normalize = its default: that holds, not raw" in err
    assert float(re.search(r"accuracy ([\d.]+) %", out)[1]) > 88


def test_a_broken_picture_does_not_keep_the_others(capsys, digits, tmp_path):
    """Those that can be read are answered as without it; the broken ones are named, and the status says it."""
    model, folder, *_ = digits
    whole = call(capsys, "run", model, folder / "0.png", folder / "1.png")[1]
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "00.png").write_bytes((folder / "2.png").read_bytes()[:60])
    (tmp_path / "9.png").write_text("no picture")
    Image.new("L", (5, 5)).save(tmp_path / "7.png")
    (tmp_path / "8.png").touch()
    code, out, err = call(capsys, "run", model, tmp_path)
    assert code == 1 and out.replace(str(tmp_path), str(folder)) == whole
    broken = ["00.png", "7.png", "8.png", "9.png"]
    assert re.findall(r"[\w.]+\.png", err) == broken and err.rstrip().endswith("4 errors")
    code, out, err = call(capsys, "run", model, tmp_path, "--format", "json")
    found = json.loads(out)
    assert code == 1 and len(found["inputs"]) == 2 and len(found["outputs"]["logits"]) == 2
    assert [any(name in e["message"] for e in found["errors"]) for name in broken] == [True] * 4
    code, out, err = call(capsys, "run", model, tmp_path, "--out", tmp_path / "found.csv")
    rows = list(csv.reader((tmp_path / "found.csv").open()))
    assert code == 1 and [row[0][-5:] for row in rows[1:]] == ["0.png", "1.png"]
    code, out, err = call(capsys, "run", model, tmp_path / "9.png", tmp_path / "00.png")
    assert code == 1 and not out and "9.png" in err and "00.png" in err
