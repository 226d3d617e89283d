"""`netdsl run` on files of the kinds that networks are trained on: tables, sounds, and arrays by their names."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netdsl
from netdsl.cli.main import main
from netdsl.data.usage import Usage

TABLE = """net Flowers { input x: [5]; output logits = x -> dense(3) }
data { train = csv("flowers.csv", label = "species", missing = "median", without = ["note"])
  normalize = standardize }
train { loss = cross_entropy(logits, label); epochs = 1; batch = 10 }
"""
TONES = """net Tones { input x: [1, 80, 1]; output logits = x -> flatten -> dense(2) }
data { train = wav("clips", MORE) }
train { loss = cross_entropy(logits, label); epochs = 1; batch = 4 }
"""
NAMED = """net Two { input left: [4]; input right: [4]; output y = left - right -> dense(1) }
data { train = npz("two.npz", left = "a", right = "b", same = "s") }
train { loss = binary_cross_entropy(y, same); epochs = 1; batch = 4 }
"""
ONE = """net One { input picture: [4]; output y = picture -> dense(1) }
data { train = npz("two.npz", picture = "a", same = "s") }
train { loss = binary_cross_entropy(y, same); epochs = 1; batch = 4 }
"""

LISTED = """net Listed { input image: [4, 4, 1]; output logits = image -> flatten -> dense(2) }
data { train = images("pics/list.csv", path = "file", label = "kind", separator = ";") }
train { loss = cross_entropy(logits, label); epochs = 1; batch = 4 }
"""


def write_sound(path, samples, rate=800):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.ndim and (1 if samples.ndim == 1 else samples.shape[1]))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with data of each kind, and a run for each network."""
    folder, random = tmp_path_factory.mktemp("kinds"), np.random.default_rng(0)
    lines = ["length,width,island,note,species"]
    for k in range(30):
        width = "" if k == 4 else f"{k % 7}"
        lines.append(f"{k % 5},{width},{['north', 'south', 'east'][k % 3]},n{k},{'abc'[k % 3]}")
    (folder / "flowers.csv").write_text("\n".join(lines))
    for k in range(8):
        write_sound(folder / f"clips/{'ab'[k % 2]}/{k}.wav", random.integers(-9999, 9999, 80))
    (folder / "pics").mkdir()
    for k in range(8):
        Image.fromarray(random.integers(0, 255, (4, 4), np.uint8)).save(folder / f"pics/{k}.png")
    rows = ["file;kind", *(f"{k}.png;{'ab'[k % 2]}" for k in range(8))]
    (folder / "pics/list.csv").write_text("\n".join(rows))
    np.savez(
        folder / "two.npz",
        a=random.random((8, 4), np.float32),
        b=random.random((8, 4), np.float32),
        s=[0, 1] * 4,
    )
    texts = {"table": TABLE, "named": NAMED, "one": ONE, "listed": LISTED}
    texts |= {"strict": TONES.replace("MORE", ""), "free": TONES.replace("MORE", "rate = 800, seconds = 0.1")}
    for name, text in texts.items():
        (folder / f"{name}.net").write_text(text.replace(", )", ")"))
        netdsl.Trainer(netdsl.load(str(folder / f"{name}.net")), folder / name).fit()
    return folder


@pytest.fixture(autouse=True)
def here(models, monkeypatch):
    monkeypatch.chdir(models)


def run(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["run", *words, "--format", "json"])
    out = capsys.readouterr().out
    return ended.value.code, json.loads(out)


def outputs_of(name, **arrays):
    return next(iter(netdsl.restore(f"{name}/last.safetensors").run(arrays).values()))


def test_a_table_has_the_columns_and_categories_of_the_training(capsys, tmp_path):
    # Other order, no label, a column more; west is unknown, and the median of 0 to 6 as above is 3.
    (tmp_path / "new.csv").write_text(
        "island,width,odd,length\nnorth,0.5,z,3\nwest,1,z,1\nsouth,,z,4\neast,much,z,3\n"
    )
    status, found = run(capsys, "table", str(tmp_path / "new.csv"))
    rows = [[3, 0.5, 0, 1, 0], [4, 3, 0, 0, 1]]  # categories in the order of the alphabet: east, north, south
    assert status == 1
    wanted = outputs_of("table", x=np.array(rows, np.float32))
    assert np.allclose(found["outputs"]["logits"], wanted, atol=1e-6)
    assert [i["name"].rpartition("/")[2] for i in found["inputs"]] == ["new.csv line 2", "new.csv line 4"]
    assert found["inputs"][1]["notes"] == ["width is missing: filled with 3"]
    told = [error["message"] for error in found["errors"]]
    assert "line 3 of" in told[0] and "west in island, which the training set had not" in told[0]
    assert "line 5 of" in told[1] and "much in width, a column of numbers" in told[1]
    assert run(capsys, "table", "flowers.csv")[0] == 0  # that of the training, with its labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("length,island\n1,north\n", "has no column width, which the network was trained on"),
        ("length,width,island\n", "there are no records in"),
        ("length,width,island\n1,2,west\n", "which the training set had not"),
    ],
)
def test_tables_that_do_not_fit(capsys, tmp_path, text, message):
    (tmp_path / "new.csv").write_text(text)
    status, found = run(capsys, "table", str(tmp_path / "new.csv"))
    assert status == 1 and message in found["errors"][0]["message"]


def test_a_table_without_names_may_lack_the_labels(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("".join(f"{k % 2},{k},{k * k}\n" for k in range(12)))
    Path("t.net").write_text(
        "net T { input x: [2]; output y = x -> dense(2) }\n"
        'data { train = csv("t.csv", label = "1", header = false) }\n'
        "train { loss = cross_entropy(y, label); epochs = 1; batch = 4 }"
    )
    netdsl.Trainer(netdsl.load("t.net"), "t").fit()
    Path("new.csv").write_text("3,9\n5,25\n")
    both = run(capsys, "t", "new.csv")[1]["outputs"]["y"], run(capsys, "t", "t.csv")[1]["outputs"]["y"]
    assert np.allclose(both[0], [both[1][3], both[1][5]], atol=1e-6)


def test_a_sound_is_fitted_as_in_the_training(capsys, tmp_path):
    loud = np.arange(-40, 40) * 100
    write_sound(tmp_path / "new.wav", loud)
    wanted = outputs_of("free", x=(loud / 32768).astype(np.float32)[None])
    for name in ("free", "strict"):
        status, found = run(capsys, name, str(tmp_path / "new.wav"))
        assert status == 0
    assert np.allclose(
        run(capsys, "free", str(tmp_path / "new.wav"))[1]["outputs"]["logits"], wanted, atol=1e-6
    )
    # Two channels, cut to the first tenth of a second.
    write_sound(tmp_path / "long.wav", np.repeat(np.concatenate([loud, loud])[:, None], 2, axis=1))
    status, found = run(capsys, "free", str(tmp_path / "long.wav"))
    assert np.allclose(found["outputs"]["logits"], wanted, atol=1e-6)
    assert found["inputs"][0]["notes"] == ["the mean of 2 channels", "0.2 s, cut to 0.1 s"]
    write_sound(tmp_path / "quick.wav", np.zeros(160), rate=1600)
    assert run(capsys, "free", str(tmp_path / "quick.wav"))[1]["inputs"][0]["notes"] == ["1,600 to 800 Hz"]


def test_sounds_that_do_not_fit_and_folders_of_them(capsys, tmp_path):
    write_sound(tmp_path / "s/long.wav", np.zeros(160))
    write_sound(tmp_path / "s/quick.wav", np.zeros(160), rate=1600)
    write_sound(tmp_path / "s/sound.wav", np.zeros(80))
    (tmp_path / "s/torn.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    status, found = run(capsys, "strict", str(tmp_path / "s"))
    assert status == 1 and len(found["outputs"]["logits"]) == 1
    told = " ".join(e["message"] for e in found["errors"])
    assert "is 0.2 s long, the network takes 0.1 s" in told and "has 1,600 Hz" in told and "torn.wav" in told
    assert run(capsys, "free", "clips/a")[0] == 0


def test_arrays_go_by_the_names_of_the_source_or_of_the_network(capsys, tmp_path):
    arrays = dict(np.load("two.npz"))
    wanted = outputs_of("named", left=arrays["a"], right=arrays["b"])
    np.savez(tmp_path / "own.npz", left=arrays["a"], right=arrays["b"])
    for file in ("two.npz", str(tmp_path / "own.npz")):
        assert np.allclose(run(capsys, "named", file)[1]["outputs"]["y"], wanted, atol=1e-6)
    wanted = outputs_of("one", picture=arrays["a"])
    for name in ("picture", "x", "anything"):
        np.savez(tmp_path / "one.npz", **{name: arrays["a"]})
        assert np.allclose(
            run(capsys, "one", str(tmp_path / "one.npz"))[1]["outputs"]["y"], wanted, atol=1e-6
        )
    assert np.allclose(run(capsys, "one", "two.npz")[1]["outputs"]["y"], wanted, atol=1e-6)
    np.savez(tmp_path / "no.npz", u=arrays["a"], v=arrays["b"])
    for model, text in (
        ("named", "no array a or left for left; it has: u, v"),
        ("one", "no array a or picture"),
    ):
        status, found = run(capsys, model, str(tmp_path / "no.npz"))
        assert status == 1 and text in found["errors"][0]["message"]
    status, found = run(capsys, "named", "flowers.csv")
    assert status == 1 and "names, or a, b, as in training" in found["errors"][0]["message"]


def test_a_list_gives_its_pictures_in_order(capsys):
    # Without labels, the columns in another order, a picture twice, and one of another ending.
    Path("pics/5.dat").write_bytes(Path("pics/5.png").read_bytes())
    Path("pics/new.csv").write_text("odd;file\nz;3.png\nz;5.dat\nz;none.png\nz;3.png\n")
    status, found = run(capsys, "listed", "pics/new.csv")
    pixels = np.stack([np.asarray(Image.open(f"pics/{k}.png"))[..., None] for k in (3, 5, 3)])
    assert status == 1 and "none.png" in found["errors"][0]["message"]
    assert [Path(i["name"]).name for i in found["inputs"]] == ["3.png", "5.dat", "3.png"]
    assert np.allclose(found["outputs"]["logits"], outputs_of("listed", image=pixels), atol=1e-6)
    assert len(run(capsys, "listed", "pics/list.csv", "pics/0.png")[1]["inputs"]) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path;kind\n0.png;a\n", 'path is "file", which is no column of'),
        ("file;kind\n", "there are no pictures in"),
        ("file\n../pics/0.png\n", "which leaves the folder of the list"),
        ("file;kind\n0.png\n", "line 2 of"),
    ],
)
def test_lists_that_do_not_fit(capsys, tmp_path, text, message):
    (tmp_path / "pics.csv").write_text(text.replace("../pics", ".."))
    status, found = run(capsys, "listed", str(tmp_path / "pics.csv"))
    assert status == 1 and message in found["errors"][0]["message"]


def test_a_zarr_store_is_read_as_an_npz_file(capsys, tmp_path):
    zarr = pytest.importorskip("zarr")
    arrays = dict(np.load("two.npz"))
    for number, names in ((3, ("a", "b", "s")), (2, ("left", "right"))):
        store = zarr.open_group(str(tmp_path / f"{number}.zarr"), mode="w", zarr_format=number)
        for name, array in zip(names, arrays.values(), strict=False):
            one = store.create_array(name, shape=array.shape, chunks=(3, *array.shape[1:]), dtype=array.dtype)
            one[...] = array
    wanted = outputs_of("named", left=arrays["a"], right=arrays["b"])
    for number in (3, 2):
        found = run(capsys, "named", str(tmp_path / f"{number}.zarr"))[1]
        assert np.allclose(found["outputs"]["y"], wanted, atol=1e-6)
    wanted = outputs_of("one", picture=arrays["a"])
    for store in ("3.zarr", "3.zarr/a"):  # a group, and one array itself
        assert np.allclose(run(capsys, "one", str(tmp_path / store))[1]["outputs"]["y"], wanted, atol=1e-6)
    status, found = run(capsys, "one", str(tmp_path / "2.zarr"))
    assert status == 1 and "no array a or picture" in found["errors"][0]["message"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "it has: none"),
        ({"shape": [2**50, 4]}, "more than half of the memory of this machine"),
        ({"shape": [], "chunks": []}, "is one number, not an array of samples"),
        ({"filters": [{"id": "pickle"}]}, "is packed by pickle, which netdsl does not run"),
    ],
)
def test_zarr_stores_that_do_not_fit(capsys, tmp_path, changes, message):
    if changes and "filters" not in changes:
        pytest.importorskip("zarr")
    store = tmp_path / "d.zarr"
    (store / "a").mkdir(parents=True)
    plain = {"zarr_format": 2, "shape": [4], "chunks": [4, 4], "dtype": "<f4", "order": "C", "fill_value": 0}
    if changes is not None:
        described = plain | {"compressor": None, "filters": None} | changes
        (store / "a" / ".zarray").write_text(json.dumps(described))
    status, found = run(capsys, "one", str(store))
    assert status == 1 and message in found["errors"][0]["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one", "flowers.csv"], "it was not trained on csv(...)"),
        (["one", "clips/a/0.wav"], "it was not trained on wav(...)"),
        (["one", "pics/list.csv"], "it was not trained on csv(...) or images(...)"),
        (["listed", "pics/list.csv", "two.npz"], "two.npz stands alone: several files"),
        (["table", "flowers.csv", "two.npz"], "two.npz stands alone: several files"),
        (["free", "clips/a/0.wav", "--resize"], "holds a sound; --resize is for pictures"),
        (["table", "flowers.csv", "--resize"], "holds a table; --resize is for pictures"),
    ],
)
def test_other_kinds_are_told(capsys, words, message):
    status, found = run(capsys, *words)
    assert status == 1 and message in found["errors"][0]["message"]


def test_an_artifact_carries_it_and_older_files_do_without(capsys, tmp_path):
    out = str(tmp_path / "t.netdsl")
    with pytest.raises(SystemExit):
        main(["compile", "table.net", "-o", out, "--weights", "table/last.safetensors"])
    both = [run(capsys, model, "flowers.csv")[1]["outputs"] for model in ("table", out)]
    assert np.allclose(both[0]["logits"], both[1]["logits"], atol=1e-6)
    plain = netdsl.restore(out).usage.to_json()
    assert Usage.from_json(json.loads(json.dumps(plain))) == netdsl.restore(out).usage
    del plain["reading"]["listed"]
    assert Usage.from_json(json.loads(json.dumps(plain))) == netdsl.restore(out).usage
    del plain["reading"]
    assert Usage.from_json(json.loads(json.dumps(plain))).reading.table is None
