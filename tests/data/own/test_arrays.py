"""Arrays larger than memory, Zarr, and generators: what they hold is what NumPy holds."""

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from netdsl.data import DataPlan, from_function, from_generator, from_mapping
from netdsl.data.dataset import from_arrays
from netdsl.data.named import Npz
from netdsl.data.own.array_files import FileArray
from netdsl.data.own.zarr_store import Zarr
from netdsl.data.pair import Npy
from netdsl.source import NetError


def arrays(kind=np.uint8, count=50):
    rng = np.random.default_rng(0)
    return rng.integers(0, 200, (count, 6, 5, 3)).astype(kind), np.arange(count) % 4


def same_batches(split, x, y):
    settings = {"normalize": "raw"}
    ours = DataPlan({"train": split, **settings}).training_batches(7)
    wanted = DataPlan({"train": from_arrays(x, y), **settings}).training_batches(7)
    for number in range(7):
        for (_, a), (_, b) in zip(ours.make(1, number).items(), wanted.make(1, number).items(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def small(monkeypatch):
    """Arrays of 1 kB are large."""
    for module in ("array_files", "generator"):
        monkeypatch.setattr(f"netdsl.data.own.{module}.STORED", 1000)


@pytest.mark.parametrize("kind", [np.uint8, ">i2", np.float32, np.float64, bool])
def test_large_files_are_read_batch_by_batch(tmp_path, small, kind):
    x, y = arrays(kind)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "d.npz", a=y, image=x)
    np.savez_compressed(tmp_path / "packed.npz", image=x, label=y)
    for source, stored in (
        (Npy("x.npy", "y.npy"), True),
        (Npz("d.npz", image="image", label="a"), True),
        (Npz("packed.npz"), False),
    ):
        split = source.load(tmp_path)
        assert isinstance(split.columns["image"].values, FileArray) is stored
        same_batches(split, x, y)
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    assert Npy("x.npy", "y.npy").load(tmp_path).columns["image"].in_memory


def test_a_file_may_have_more_numbers_than_a_tensor(tmp_path):
    """Sparse: it takes no room on the disk."""
    shape = (2**17 + 8, 2**8, 2**8)
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, shape)
    np.save(tmp_path / "y.npy", np.arange(shape[0]) % 2)
    assert Npy("x.npy", "y.npy").outline(tmp_path).count == shape[0]
    split = Npy("x.npy", "y.npy").load(tmp_path)
    assert split.columns["image"].values.read(np.array([2**17 + 7, 0])).shape == (2, *shape[1:])


def test_a_file_that_becomes_shorter_is_an_error(tmp_path, small):
    x, y = arrays()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    batches = DataPlan({"train": Npy("x.npy", "y.npy")}, base=tmp_path).evaluation_batches("train", 50)
    os.truncate(tmp_path / "x.npy", 1000)
    with pytest.raises(NetError, match=r"x.npy ends too early: it was longer when training began"):
        batches.make(0, 0)


def test_generators(small):
    x, y = arrays()
    for count in (50, None):
        split = from_generator(lambda: zip(x, y, strict=True), count)
        assert not split.columns["image"].in_memory and split["label"].tolist() == y.tolist()
        same_batches(split, x, y)
    split = from_generator(
        lambda: ({"image": a, "label": b, "weight": 1.5} for a, b in zip(x, y, strict=True)), 20
    )
    assert len(split) == 20 and split["weight"].dtype == np.float32
    file = split.columns["image"].values.path
    assert file.exists()
    del split
    assert not file.exists()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "gives no samples"),
        (
            [(np.zeros(3), 0), (np.zeros(4), 0)],
            r"image of sample 1 is float64 \[4\], that of sample 0 float64 \[3\]",
        ),
        (
            [(np.zeros(3, int), 0), (np.zeros(3), 0)],
            r"image of sample 1 is float64 \[3\], that of sample 0 int64",
        ),
        ([{"a": 1}, {"b": 2}], "sample 1 has b, sample 0 a"),
        ([3], "sample 0 is a int; a sample is a mapping"),
        ([{"a": "text"}], "a is <U4; samples are booleans"),
    ],
)
def test_generators_of_something_else(samples, message):
    with pytest.raises(NetError, match=message):
        from_generator(lambda: iter(samples))
    with pytest.raises(NetError, match="not list"):
        from_generator(samples)
    with pytest.raises(NetError, match="gives 1 sample, not 5"):
        from_generator(lambda: [(np.zeros(3), 1)], 5)


def test_functions():
    x, y = arrays()
    same_batches(from_function(lambda k: x[k], y), x, y)
    named = from_function(lambda k: x[k], y, ("a", "b", "c", "d"))
    assert named.columns["label"].classes == ("a", "b", "c", "d")
    with pytest.raises(NetError, match=r"sample 9 is uint8 \[5, 5, 3\], that of sample 0 uint8 \[6, 5, 3\]"):
        from_function(lambda k: x[k] if k < 9 else x[k, 1:], y)


def group(path, x, y):
    zarr = pytest.importorskip("zarr")
    made = zarr.open_group(str(path), mode="w")
    for name, array in (("images", x), ("labels", y)):
        one = made.create_array(name, shape=array.shape, chunks=(4, *array.shape[1:]), dtype=array.dtype)
        one[...] = array


def test_zarr(tmp_path, monkeypatch):
    x, y = arrays()
    group(tmp_path / "d.zarr", x, y)
    source = Zarr("d.zarr", image="images", label="labels")
    same_batches(source.load(tmp_path), x, y)
    monkeypatch.setattr("netdsl.data.own.zarr_store._IN_MEMORY", 100)
    assert not source.load(tmp_path).columns["image"].in_memory
    same_batches(source.load(tmp_path), x, y)
    assert source.outline(tmp_path).count == 50 and list(Zarr("d.zarr").load(tmp_path).columns) == [
        "images",
        "labels",
    ]
    for path in (tmp_path / "d.zarr" / "images" / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(NetError, match=r"images is damaged"):
        DataPlan({"train": source}, base=tmp_path).evaluation_batches("train", 20)


def described(path, **changes):
    """An array of Zarr 2, by its description alone."""
    path.mkdir(parents=True)
    plain = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<f4", "order": "C", "fill_value": 0}
    (path / ".zarray").write_text(json.dumps(plain | {"compressor": None, "filters": None} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compressor": {"id": "pickle"}}, "is packed by pickle, which netdsl does not run"),
        ({"filters": [{"id": "vlen-utf8"}]}, "is packed by vlen-utf8"),
        ({"filters": [[{"id": "msgpack2"}]]}, "is packed by msgpack2"),
        (
            {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "x"}]}}]},
            "is packed by x",
        ),
        ({"compressor": "zlib"}, "describes its codecs as 'zlib'"),
    ],
)
def test_codecs_that_are_not_run(tmp_path, changes, message):
    described(tmp_path / "d.zarr" / "a", **changes)
    with pytest.raises(NetError, match=message):
        Zarr("d.zarr", a="a").outline(tmp_path)


def test_groups_that_are_none(tmp_path):
    with pytest.raises(NetError, match="there is no folder"):
        Zarr("d.zarr").outline(tmp_path)
    described(tmp_path / "d.zarr" / "a")
    with pytest.raises(NetError, match=r"d.zarr has no array b; it has: a"):
        Zarr("d.zarr", x="b").outline(tmp_path)
    with pytest.raises(NetError, match=r"\.\./d.zarr/a is no array of"):
        Zarr("d.zarr", x="../d.zarr/a").outline(tmp_path)
    (tmp_path / "d.zarr" / "a" / ".zarray").write_text("{")
    with pytest.raises(NetError, match="is no JSON"):
        Zarr("d.zarr", x="a").outline(tmp_path)


def test_stored_samples_under_names():
    x, y = arrays(np.float32)
    stored = from_function(lambda k: x[k], y).columns["image"].values
    split = from_mapping({"left": stored, "right": x, "label": y})
    assert not split.columns["left"].in_memory and split.columns["right"].in_memory


MEASURE = """
import resource, sys
from pathlib import Path
from netdsl.data import DataPlan, Loader
from netdsl.data.pair import Npy
plan = DataPlan({"train": Npy("x.npy", "y.npy"), "workers": 2}, base=Path(sys.argv[1]))
batches = plan.training_batches(32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Loader(batches, epochs=1) as loader:
    count = sum(batch["image"].shape[0] for batch in loader)
print(count, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    """A sparse file of 4 GiB: every byte is read, and the process grows by less than 1 % of it."""
    shape = (2**14, 256, 256, 4)
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, shape)
    np.save(tmp_path / "y.npy", np.arange(shape[0]) % 10)
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path], check=True, capture_output=True, text=True
    )
    count, before, after = map(int, found.stdout.split())
    assert count == shape[0] and resource
    assert (after - before) * 1024 < 0.1 * 2**32
