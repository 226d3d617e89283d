"""Samples that are not in memory: the same batches for any number of workers, errors where they belong."""

import threading
import time

import numpy as np
import pytest

from netdsl.data import DataPlan, Flip, from_mapping
from netdsl.data.batches import Batches
from netdsl.data.column import Column
from netdsl.data.dataset import Split, from_arrays
from netdsl.data.errors import data_error
from netdsl.data.loader import Loader
from netdsl.data.parallel import ordered
from netdsl.data.pixels import Pixels
from netdsl.data.resize import CenterCrop, Resize
from netdsl.data.split import Shares
from netdsl.data.usage import Preparation
from netdsl.source import NetError

BYTES = Pixels("uint8", 0, 255, 255.0, sure=True)


class Pictures:
    """Samples in a list, as if they were read from files; `wrong` is a number that cannot be read."""

    dtype = np.dtype(np.uint8)

    def __init__(self, arrays, wrong=None):
        self.arrays, self.wrong, self.reading, self.most = arrays, wrong, 0, 0
        self.lock = threading.Lock()

    @property
    def shapes(self):
        found = {}
        for k, a in enumerate(self.arrays):
            found.setdefault(a.shape, self.name(k))
        return found

    def __len__(self):
        return len(self.arrays)

    def name(self, index):
        return f"pics/{index}.png"

    def read(self, indices):
        with self.lock:
            self.reading += 1
            self.most = max(self.most, self.reading)
        time.sleep(0.002 * (indices[0] % 3))  # so that parts are not done in their order
        with self.lock:
            self.reading -= 1
        if self.wrong in indices:
            raise data_error(f"{self.name(self.wrong)} is damaged")
        return [self.arrays[i] for i in indices]


def pictures(count=50, sizes=((6, 6),), wrong=None):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (*sizes[k % len(sizes)], 3), np.uint8) for k in range(count)]
    labels = np.arange(count) % 5
    split = Split({"image": Column(Pictures(arrays, wrong), BYTES), "label": Column(labels, BYTES)})
    return split, arrays, labels


def batches(split, **settings):
    given = {"augment": (Flip(),), "seed": 5, "shuffle": True, "drop_last": True} | settings
    return Batches(split, 8, **given)


def readers():
    return [t for t in threading.enumerate() if t.name.startswith(("netdsl-loader", "netdsl-reader"))]


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 8, 20])
def test_the_same_bits_for_any_number_of_workers(workers):
    split, arrays, labels = pictures()
    whole = from_arrays(np.stack(arrays), labels, white=255)
    with Loader(batches(split, workers=workers), epochs=3, start=(1, 2)) as loader:
        found = list(loader)
    wanted = [b for e in (1, 2) for b in batches(whole).epoch(e) if (b.epoch, b.number) >= (1, 2)]
    assert [(b.epoch, b.number, b.last) for b in found] == [(b.epoch, b.number, b.last) for b in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["label"], other["label"])
    assert not readers()
    assert split.columns["image"].values.most <= max(workers, 1)


def test_an_error_comes_at_its_batch():
    split, _, _ = pictures(wrong=20)
    made = batches(split, shuffle=False, workers=4)
    with Loader(made, epochs=1) as loader:
        assert [next(loader).number for _ in range(2)] == [0, 1]
        with pytest.raises(NetError, match=r"pics/20\.png is damaged"):
            next(loader)
    assert not readers()


def test_leaving_early_leaves_no_threads():
    split, _, _ = pictures()
    with Loader(batches(split, workers=4), epochs=10**6) as loader:
        next(loader)
    assert not readers()
    with pytest.raises(KeyboardInterrupt), Loader(batches(split, workers=4), epochs=10**6) as loader:
        next(loader)
        raise KeyboardInterrupt
    assert not readers()


def test_memory_is_bounded():
    split, _, _ = pictures(400)
    stored = split.columns["image"].values
    read = []
    inner = stored.read
    stored.read = lambda indices: read.extend(indices) or inner(indices)
    with Loader(batches(split, workers=2), epochs=1, depth=2) as loader:
        next(loader)
        time.sleep(0.3)
        # one given, two waiting, one that does not fit, and two that are read meanwhile
        assert len(read) <= 6 * 8
    assert not readers()


def test_samples_of_several_sizes_need_steps():
    split, arrays, _ = pictures(sizes=((6, 6), (9, 7)))
    with pytest.raises(NetError, match=r"pics/0.png is \[6, 6, 3\], pics/1.png \[9, 7, 3\]") as caught:
        batches(split)
    assert "preprocess = [resize(6), center_crop(6)]" in caught.value.diagnostics[0].fix
    with pytest.raises(
        NetError, match=r"after resize\(6\): pics/0.png is \[6, 6, 3\], pics/1.png \[7, 6, 3\]"
    ):
        DataPlan({"train": split, "preprocess": [Resize(6)]}).training_batches(8)
    steps = (Resize(6), CenterCrop(6))
    plan = DataPlan({"train": split, "preprocess": list(steps), "normalize": "raw", "shuffle": False})
    batch = plan.training_batches(8).make(0, 0)
    wanted = np.concatenate([CenterCrop(6)(Resize(6)(a[None])) for a in arrays[:8]])
    np.testing.assert_array_equal(batch["image"], wanted)
    assert plan.preparations()["image"].sample == (6, 6, 3)


def test_standardize_and_validation_read_what_they_need():
    split, arrays, labels = pictures(100)
    plan = DataPlan({"train": split, "validation": 0.2, "normalize": "standardize"}, seed=1)
    made = plan.preparations()["image"].normalization
    kept = np.stack([arrays[i] for i in plan.train.columns["image"].values.indices]) / 255
    np.testing.assert_allclose(made.mean, kept.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(made.std, kept.std(axis=(0, 1, 2)), rtol=1e-12)
    both = Shares(validation=0.2).divide(from_arrays(np.stack(arrays), labels), 1)
    for ours, wanted in zip((plan.train, plan.validation), both, strict=True):
        np.testing.assert_array_equal(ours["image"], wanted["image"])
        np.testing.assert_array_equal(ours["label"], wanted["label"])


def test_statistics_of_a_large_set_are_of_a_part(monkeypatch):
    monkeypatch.setattr("netdsl.data.normalize.FITTED_ON", 64)
    split, arrays, _ = pictures(200)
    stored = split.columns["image"].values
    read = []
    inner = stored.read
    stored.read = lambda indices: read.extend(indices.tolist()) or inner(indices)
    made = DataPlan({"train": split, "normalize": "standardize"}).preparations()["image"].normalization
    assert len(set(read)) == len(read) == 64
    of = np.stack([arrays[i] for i in read]) / 255
    np.testing.assert_allclose(made.mean, of.mean(axis=(0, 1, 2)), rtol=1e-12)


def memmap(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, ">f4", bool])
def test_memory_maps_train_like_arrays(tmp_path, kind):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (40, 5, 5, 1)).astype(kind)
    y = np.arange(40) % 4
    mapped = memmap(tmp_path / "x.npy", x)
    one = Batches(from_arrays(mapped, y), 8, shuffle=True)
    other = Batches(from_mapping({"image": mapped, "label": y}), 8, shuffle=True)
    wanted = Batches(from_arrays(x, y), 8, shuffle=True)
    assert not one.in_memory and wanted.in_memory
    for number in range(5):
        for made in (one, other):
            np.testing.assert_array_equal(made.make(0, number)["image"], wanted.make(0, number)["image"])
    assert from_arrays(mapped, y).columns["image"].pixels == from_arrays(x, y).columns["image"].pixels


def test_what_is_not_finite_in_a_map_is_named(tmp_path):
    x = np.zeros((40, 3), np.float32)
    x[13, 1] = np.nan
    made = Batches(from_arrays(memmap(tmp_path / "x.npy", x), np.arange(40)), 8)
    made.make(0, 0)
    with pytest.raises(NetError, match="sample 13 of image: the samples hold values that are not finite"):
        made.make(0, 1)


def test_labels_are_read_into_memory(tmp_path):
    y = memmap(tmp_path / "y.npy", np.arange(40)[:, None])
    split = from_mapping({"x": np.zeros((40, 3)), "label": y})
    assert Batches(split, 40)._targets["label"].in_memory
    assert Batches(split, 40).make(0, 0)["label"].tolist() == list(range(40))


def test_ordered_gives_errors_in_their_turn():
    def work(n):
        time.sleep(0.001 * (7 - n))
        if n == 5:
            raise KeyError(n)
        return n * n

    found = []
    with pytest.raises(KeyError):
        found.extend(ordered(work, range(8), 4))
    # `extend` keeps what came before the error
    assert found == [0, 1, 4, 9, 16] and not readers()
    assert list(ordered(str, "abc", 0)) == list(ordered(str, "abc", 2)) == ["a", "b", "c"]


def test_preparation_of_one_shape_is_found():
    split, _, _ = pictures()
    assert batches(split).prepared["image"] == Preparation((6, 6, 3))
