"""Batches are a function of (epoch, number); the loader gives just those, in the background."""

import gc
import threading
import time

import numpy as np
import pytest

from netdsl.data import Flip, Shift
from netdsl.data.batches import Batches
from netdsl.data.dataset import from_arrays
from netdsl.data.feeds import Feed, Kind
from netdsl.data.loader import Loader
from netdsl.data.normalize import Normalization
from netdsl.data.usage import Preparation
from netdsl.source import NetError


def data(count=103):
    rng = np.random.default_rng(0)
    return from_arrays(rng.integers(0, 256, (count, 6, 6, 1), np.uint8), np.arange(count))


def training(seed=3, batch=10, feeds=(), **settings):
    return Batches(
        data(),
        batch,
        feeds,
        {"image": Preparation((6, 6, 1), normalization=Normalization(255.0))},
        (Shift(1), Flip()),
        seed=seed,
        shuffle=True,
        drop_last=True,
        **settings,
    )


def same(first, second):
    assert (first.epoch, first.number, first.last) == (second.epoch, second.number, second.last)
    assert first.keys() == second.keys()
    np.testing.assert_array_equal(first.indices, second.indices)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_training_batches():
    batches = training()
    assert len(batches) == 10
    epochs = [list(batches.epoch(epoch)) for epoch in (0, 1)]
    for epoch in epochs:
        assert all(batch["image"].shape == (10, 6, 6, 1) for batch in epoch)
        assert [batch.last for batch in epoch] == [False] * 9 + [True]
        labels = np.concatenate([batch["label"] for batch in epoch])
        assert len(set(labels.tolist())) == 100
        np.testing.assert_array_equal(labels, np.concatenate([batch.indices for batch in epoch]))
    assert (epochs[0][0]["label"] != epochs[1][0]["label"]).any()
    assert epochs[0][0]["image"].dtype == np.float32 and epochs[0][0]["image"].max() <= 1


def test_any_batch_can_be_made_again_in_any_order():
    reference = {(b.epoch, b.number): b for epoch in range(3) for b in training().epoch(epoch)}
    again = training()
    for key in sorted(reference, key=lambda key: hash((7, key))):
        same(again.make(*key), reference[key])
    other = training(seed=4).make(0, 0)
    assert (other["label"] != reference[0, 0]["label"]).any()


def test_augmentation_of_a_sample_does_not_depend_on_the_batch_size():
    small, large = (
        {
            int(i): image
            for b in training(batch=size).epoch(2)
            for i, image in zip(b.indices, b["image"], strict=True)
        }
        for size in (10, 50)
    )
    for index in small.keys() & large.keys():
        np.testing.assert_array_equal(small[index], large[index])


def test_the_last_batch_of_an_evaluation_is_smaller():
    batches = Batches(data(), 10)
    made = list(batches.epoch())
    assert len(made) == len(batches) == 11
    assert np.concatenate([batch.indices for batch in made]).tolist() == list(range(103))
    last = made[-1]
    assert last.size == 3 and last.last and last["image"].shape == (3, 6, 6, 1)
    assert last["label"].tolist() == [100, 101, 102] and sum(batch.size for batch in made) == 103


def test_batches_for_a_network_that_flattens():
    batch = training(feeds=[Feed("image", Kind.INPUT, (36,))]).make(0, 0)
    np.testing.assert_array_equal(batch["image"], training().make(0, 0)["image"].reshape(10, 36))
    with pytest.raises(NetError, match="the network takes"):
        training(feeds=[Feed("image", Kind.INPUT, (35,))])


def test_wrong_batch_sizes():
    with pytest.raises(NetError, match="at least one sample"):
        Batches(data(), 0)
    with pytest.raises(NetError, match="cannot fill one batch of 104"):
        Batches(data(), 104, drop_last=True)
    assert len(Batches(data(), 104)) == 1
    with pytest.raises(IndexError):
        training().make(0, 10)


@pytest.mark.parametrize("start", [(0, 0), (0, 7), (1, 0), (1, 10), (2, 9), (3, 0)])
def test_loader_resumes_with_the_same_batches(start):
    expected = [b for epoch in range(3) for b in training().epoch(epoch) if (b.epoch, b.number) >= start]
    with Loader(training(), epochs=3, start=start) as loader:
        made = list(loader)
    assert len(made) == len(expected)
    for first, second in zip(made, expected, strict=True):
        same(first, second)


class Spy(Batches):
    """Counts what is made, and fails at one place."""

    fail_at = (99, 0)

    def make(self, epoch, number):
        self.made = getattr(self, "made", 0) + 1
        if (epoch, number) == self.fail_at:
            raise ZeroDivisionError("in the thread")
        return super().make(epoch, number)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "netdsl-loader"]


def wait(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_error_arrives_after_the_good_batches():
    spy = Spy(data(), 10)
    spy.fail_at = (0, 4)
    with Loader(spy, epochs=1) as loader:
        assert [next(loader).number for _ in range(4)] == [0, 1, 2, 3]
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="in the thread"):
                next(loader)
    assert not threads()


def test_loader_stays_a_bounded_number_ahead():
    spy = Spy(data(), 1)
    with Loader(spy, epochs=1000, depth=2) as loader:
        wait(lambda: getattr(spy, "made", 0) == 3)
        time.sleep(0.02)
        assert spy.made == 3
        next(loader)
        wait(lambda: spy.made == 4)
    assert not threads()


def test_close_ends_the_thread_and_the_iteration():
    loader = Loader(training(), epochs=10**9)
    next(loader)
    loader.close()
    loader.close()
    assert not threads()
    assert list(loader) == []


def test_leaving_by_an_exception_closes():
    with pytest.raises(KeyError), Loader(training(), epochs=10**9) as loader:
        next(loader)
        raise KeyError
    assert not threads()


def test_forgotten_loader_ends_its_thread():
    loader = Loader(training(), epochs=10**9)
    next(loader)
    del loader
    gc.collect()
    wait(lambda: not threads())


@pytest.mark.parametrize("start", [(-1, 0), (0, -1), (0, 11)])
def test_wrong_start(start):
    with pytest.raises(ValueError, match="there is no batch"):
        Loader(training(), epochs=1, start=start)
