"""Finding, checking, unpacking and fetching known data sets, with small ones in place of the real."""

import gzip
import hashlib
import io
import json
import stat
import struct
import tarfile
import urllib.error

import numpy as np
import pytest

from netdsl.cli.main import main
from netdsl.data import download as net
from netdsl.data.load import load_split
from netdsl.data.obtain import get, list_datasets
from netdsl.data.registry import DATASETS, Archive, Content, Known
from netdsl.source import NetError


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def content(name, data):
    return Content(name, len(data), hashlib.sha256(data).hexdigest())


class Answer(io.BytesIO):
    """What `open_url` gives, which has headers too."""


RNG = np.random.default_rng(0)
IMAGES = {
    "train": RNG.integers(0, 256, (6, 4, 4), np.uint8),
    "test": RNG.integers(0, 256, (3, 4, 4), np.uint8),
}
FILES = {}
for split, images in IMAGES.items():
    FILES[f"{split}-images"] = idx(images)
    FILES[f"{split}-labels"] = idx(np.arange(len(images), dtype=np.uint8))

TINY = Known(
    name="tiny",
    title="",
    classes=tuple("0123456789"),
    shape=(4, 4, 1),
    sizes={"train": 6, "test": 3},
    licence="",
    homepage="",
    format="idx",
    files={
        split: tuple(content(f"{split}-{part}", FILES[f"{split}-{part}"]) for part in ("images", "labels"))
        for split in IMAGES
    },
    mirrors=("https://first.invalid/", "https://second.invalid/"),
    folders=("tiny", "TINY/raw"),
)

PIXELS = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
RECORDS = b"".join(
    bytes([label]) + image.transpose(2, 0, 1).tobytes()
    for label, image in zip([5, 6, 7, 8], PIXELS, strict=True)
)
PARTS = {"data_batch_1.bin": RECORDS[: 2 * 3073], "test_batch.bin": RECORDS[2 * 3073 :]}


def tar(members, kind=tarfile.REGTYPE):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


TAR = tar({"../evil": b"x", "inner/readme": b"x", **{f"inner/{name}": data for name, data in PARTS.items()}})


def colour(packed):
    return Known(
        name="colour",
        title="",
        classes=tuple("0123456789"),
        shape=(32, 32, 3),
        sizes={"train": 2, "test": 2},
        licence="",
        homepage="",
        format="cifar",
        files={
            "train": (content("data_batch_1.bin", PARTS["data_batch_1.bin"]),),
            "test": (content("test_batch.bin", PARTS["test_batch.bin"]),),
        },
        archive=Archive("colour.tar.gz", "inner", len(packed), hashlib.sha256(packed).hexdigest()),
        mirrors=("https://colour.invalid/",),
        folders=("colour",),
    )


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """Small data sets, an empty machine, and no network."""
    monkeypatch.setitem(DATASETS, "tiny", TINY)
    monkeypatch.setitem(DATASETS, "colour", colour(TAR))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NETDSL_DATA_DIR", raising=False)
    serve(monkeypatch, {})


def serve(monkeypatch, pages):
    """Answer https requests from a dictionary; returns the list of what was asked for."""
    asked = []

    def open_url(url):
        asked.append(url)
        if url not in pages:
            raise urllib.error.URLError("no network here")
        answer = Answer(pages[url])
        answer.headers = {"Content-Length": "12"}
        return answer

    monkeypatch.setattr(net, "open_url", open_url)
    return asked


def put(folder, packed=False):
    folder.mkdir(parents=True)
    for name, data in FILES.items():
        path = folder / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(data) if packed else data)


def check_tiny(folder=None):
    for split, images in IMAGES.items():
        loaded = load_split("tiny", split, folder)
        np.testing.assert_array_equal(loaded["image"][..., 0], images)
        assert loaded["label"].tolist() == list(range(len(images)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("place", ["data/tiny", "data/TINY/raw", "cache/netdsl/data/tiny"])
def test_local_files_are_found(tmp_path, place, packed):
    put(tmp_path / place, packed)
    assert get("tiny").action == "present"
    assert {entry.dataset.name: entry.folder is not None for entry in list_datasets()}["tiny"]
    check_tiny()


def test_chosen_folder_comes_first(tmp_path, monkeypatch):
    put(tmp_path / "data" / "tiny")
    put(tmp_path / "mine" / "tiny")
    monkeypatch.setenv("NETDSL_DATA_DIR", str(tmp_path / "mine"))
    assert get("tiny").folder == tmp_path / "mine" / "tiny"
    with pytest.raises(NetError, match="not on this machine"):
        load_split("tiny", "train", tmp_path / "other")


def test_missing_data_says_where_it_looked_and_what_to_run(tmp_path):
    with pytest.raises(NetError) as error:
        load_split("tiny", "train")
    assert str(tmp_path / "cache" / "netdsl" / "data" / "tiny") in str(error.value)
    assert "netdsl data get tiny" in str(error.value)


def test_wrong_files_are_told(tmp_path):
    put(tmp_path / "data" / "tiny")
    path = tmp_path / "data" / "tiny" / "train-images"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    for use in (lambda: get("tiny"), lambda: load_split("tiny", "train")):
        with pytest.raises(NetError, match=r"not the known train-images[^!]*SHA-256[^!]*delete or replace"):
            use()
    load_split("tiny", "test")
    path.write_bytes(b"short")
    with pytest.raises(NetError, match="has 5 bytes"):
        get("tiny")
    path.unlink()
    path.with_name("train-images.gz").write_bytes(gzip.compress(bytes(10**6)))
    with pytest.raises(NetError, match="unpacks to more than"):
        get("tiny")


def test_offline_says_which_files_to_put_where(tmp_path):
    with pytest.raises(NetError) as error:
        get("tiny")
    text = str(error.value)
    assert "train-images.gz, train-labels.gz, test-images.gz, test-labels.gz" in text
    assert f"into {tmp_path / 'cache' / 'netdsl' / 'data' / 'tiny'}" in text
    assert (
        "no network here" in text and "https://first.invalid/" in text and "https://second.invalid/" in text
    )
    assert list((tmp_path / "cache" / "netdsl" / "data" / "tiny").iterdir()) == []


def test_download_takes_the_next_mirror_when_one_is_wrong(tmp_path, monkeypatch):
    pages = {f"https://second.invalid/{name}.gz": gzip.compress(data) for name, data in FILES.items()}
    pages["https://first.invalid/train-images.gz"] = gzip.compress(b"something else")
    asked = serve(monkeypatch, pages)
    steps = []
    got = get("tiny", progress=lambda name, done, total: steps.append((name, done, total)))
    folder = tmp_path / "cache" / "netdsl" / "data" / "tiny"
    assert (got.action, got.folder) == ("downloaded", folder)
    assert asked[0] == "https://first.invalid/train-images.gz" and len(asked) == 5
    assert steps[-1][0] == "test-labels.gz" and steps[-1][2] == 12
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    check_tiny()
    assert get("tiny").action == "present"


def test_download_to_a_given_folder(tmp_path, monkeypatch):
    serve(
        monkeypatch, {f"https://first.invalid/{name}.gz": gzip.compress(data) for name, data in FILES.items()}
    )
    assert get("tiny", tmp_path / "there").folder == tmp_path / "there" / "tiny"
    check_tiny(tmp_path / "there")


def test_download_is_bounded(tmp_path, monkeypatch):
    serve(monkeypatch, {"https://first.invalid/train-images.gz": bytes(10**6)})
    with pytest.raises(NetError, match="gives more than the"):
        get("tiny")


def test_only_https():
    with pytest.raises(ValueError, match="not https"):
        net.download("http://first.invalid/", None, 10)
    redirect = net._HttpsOnly()
    with pytest.raises(urllib.error.URLError, match="not https"):
        redirect.redirect_request(None, None, 302, "", None, "http://first.invalid/")


def check_colour():
    for split, rows in (("train", slice(0, 2)), ("test", slice(2, 4))):
        loaded = load_split("colour", split)
        np.testing.assert_array_equal(loaded["image"], PIXELS[rows])
        assert loaded["label"].tolist() == [5, 6, 7, 8][rows]


def test_archive_is_downloaded_and_unpacked_safely(tmp_path, monkeypatch):
    serve(monkeypatch, {"https://colour.invalid/colour.tar.gz": TAR})
    got = get("colour")
    assert got.action == "downloaded"
    assert sorted(path.name for path in got.folder.iterdir()) == sorted(PARTS)
    assert not list(tmp_path.rglob("*evil"))
    check_colour()


@pytest.mark.parametrize("place", ["data", "data/colour"])
def test_local_archive_is_unpacked(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "colour.tar.gz").write_bytes(TAR)
    assert get("colour").action == "unpacked"
    check_colour()


def test_wrong_archives(tmp_path, monkeypatch):
    path = tmp_path / "data" / "colour.tar.gz"
    path.parent.mkdir()
    path.write_bytes(TAR[:-1])
    with pytest.raises(NetError, match=f"has {len(TAR) - 1:,} bytes"):
        get("colour")
    path.write_bytes(TAR[:-1] + b"\x01")
    with pytest.raises(NetError, match="not the known colour"):
        get("colour")
    links = tar({f"inner/{name}": b"" for name in PARTS}, tarfile.SYMTYPE)
    for broken, message in ((links, "has no good"), (b"no archive", "not a readable")):
        monkeypatch.setitem(DATASETS, "colour", colour(broken))
        path.write_bytes(broken)
        with pytest.raises(NetError, match=message):
            get("colour")


def test_png_form_is_converted(tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "data" / "colour"
    folder.mkdir(parents=True)
    image.fromarray(PIXELS[:2].reshape(2, 1024, 3)).save(folder / "data_batch_1.png")
    image.fromarray(PIXELS[2:].reshape(2, 1024, 3)).save(folder / "test_batch.png")
    (folder / "train_lables.json").write_text(json.dumps([5, 6]))
    (folder / "test_lables.json").write_text(json.dumps([7, 8]))
    assert get("colour").action == "unpacked"
    check_colour()


def test_embedded_needs_nothing():
    assert get("digits").action == "embedded"
    with pytest.raises(NetError, match="did you mean mnist"):
        get("mnst")


def test_registry_is_consistent():
    for name, dataset in DATASETS.items():
        assert dataset.name == name and dataset.sizes.keys() >= dataset.files.keys()
        assert all(len(file.sha256) == 64 and file.size > 0 for file in dataset.contents)
        assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in dataset.mirrors)
        assert bool(dataset.contents) == (dataset.format != "npz")


def command(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(["data", *map(str, words)])
    out, err = capsys.readouterr()
    return end.value.code or 0, " ".join(out.split()), " ".join(err.split())


def test_the_commands(tmp_path, monkeypatch, capsys):
    """`netdsl data list` and `netdsl data get`, with files on the mirrors and without."""
    code, out, _ = command(capsys, "list")
    assert code == 0 and "tiny" in out and "shipped with netdsl" in out
    code, _, err = command(capsys, "get", "tiny")
    assert code == 1 and "https://second.invalid/" in err
    pages = {f"https://first.invalid/{name}.gz": gzip.compress(data) for name, data in FILES.items()}
    serve(monkeypatch, pages)
    assert command(capsys, "get", "digits")[:2] == (0, "digits: embedded")
    there = tmp_path / "there"
    assert command(capsys, "get", "tiny", "--folder", there) == (
        0,
        f"tiny: downloaded in {there / 'tiny'}",
        "",
    )
    assert command(capsys, "get", "tiny", "--folder", there) == (0, f"tiny: present in {there / 'tiny'}", "")
    assert command(capsys, "get", "tyni")[0] == 1
    code, out, _ = command(capsys, "list", "--format", "json")
    assert code == 0 and {"digits", "tiny", "colour"} <= {found["name"] for found in json.loads(out)}
    for words in ([], ["--help"], ["get", "--help"], ["list", "--help"]):
        assert command(capsys, *words)[0] == 0
