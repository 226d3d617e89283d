"""What the driver refuses, call by call: an error, nothing left behind, and the next program works.

And what other threads, and the end of other objects, do in the middle of it.
"""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest

import netdsl
from netdsl.runtime import Program

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda import cards
from netdsl.cuda.ahead import Ahead
from tests.cuda.fake_driver import FakeDriver, Result
from tests.cuda.test_ahead import tensor
from tests.cuda.test_cuda_target import chain
from tests.cuda.test_driver import install

OF_SLOTS = "cuMemAlloc", "cuMemHostAlloc", "cuMemsetD8Async", "cuEventCreate"
ERRORS = Result.CUDA_ERROR_UNKNOWN, Result.CUDA_ERROR_OUT_OF_MEMORY, Result.CUDA_ERROR_ILLEGAL_ADDRESS


class Failing(FakeDriver):
    """Fails once, in call number `at`."""

    at, error = -1, Result.CUDA_ERROR_UNKNOWN
    made: tuple[str, ...] = ()

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if not name.startswith("cu") or name == "cuGetErrorString":
            return found

        def call(*arguments):
            self.made += (name,)
            if len(self.made) - 1 != self.at:
                return found(*arguments)
            if name == "cuStreamEndCapture":  # it ends all the same
                self.captured, self.joined = None, set()
            return self.error, None

        return call


@pytest.fixture
def fake(monkeypatch):
    found = Failing()
    install(monkeypatch, found)
    yield found
    cards._card.cache_clear()


@pytest.fixture
def quick_collection():
    """What is there before a test is not looked at each time that garbage is collected."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def use():
    """A program in all ways: fed from the host, fed ahead, step by step."""
    program, send = Program(chain(), "cuda"), netdsl.device("cuda").sender()
    x = np.linspace(-1, 1, 5).astype(np.float32)
    for ahead in (send({"x": x}), send({"x": x}), {}):
        feeds = {"x": x} | ahead
        np.testing.assert_allclose(program.run(feeds)["z"], np.exp(x) * 2 + 1, rtol=1e-6)
    program.profile({"x": x}, 1)


def used():
    """The error of a use."""
    try:
        use()
    except netdsl.NetError as error:
        return str(error)
    return None


def test_every_call_fails_once(fake, quick_collection, monkeypatch):
    """Each by name, at its first place and its last one."""
    use()
    gc.collect()
    made, told = fake.made, []
    assert not fake.live and len(made) > 100 and len(set(made)) > 25
    monkeypatch.setattr(sys, "unraisablehook", lambda one: told.append(str(one.exc_value)))
    first_end = len(made) - made[::-1].index("cuLaunchKernel") + 1  # it is waited for, then objects end
    places = [[k for k, other in enumerate(made) if other == name] for name in dict.fromkeys(made)]
    for k in sorted({at[end] for at in places for end in (0, -1)}):
        name = made[k]
        failing = Failing()
        install(monkeypatch, failing)
        failing.at, failing.error = k, ERRORS[k % 3]
        text = used()
        where = f"call {k}, {name}, {failing.error.name}"
        if k < first_end:
            # Where there is no room for a slot, the batch is copied when it is used.
            unasked = failing.error is Result.CUDA_ERROR_OUT_OF_MEMORY and name in OF_SLOTS
            assert unasked if text is None else name in text or "the GPU failed in" in text, where
        elif not text:
            assert told, where  # an object ended, and nobody could be raised at
        gc.collect()
        assert failing.captured is None, where
        failed = k < first_end and failing.error is Result.CUDA_ERROR_ILLEGAL_ADDRESS
        assert failed or k >= first_end or not failing.live, (where, failing.live)
        assert k >= first_end or not told, (where, told)
        told.clear()
        cards._card.cache_clear()  # a card that failed stays lost to its process
        assert used() is None, where


def test_a_card_that_failed_is_not_told_of_again(fake, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: told.append(str(one.exc_value)))
    program = Program(chain(), "cuda")
    fake.fails = dict.fromkeys((n for n in dir(fake) if n.startswith("cu")), ERRORS[2])
    with pytest.raises(netdsl.NetError, match="the GPU failed in what it ran before cu"):
        program.run({"x": np.zeros(5, np.float32)})
    del program
    gc.collect()
    assert not told


def test_memory_is_not_given_back_while_a_copy_writes_it(fake):
    card = cards.find_card(0)
    send = Ahead(card)
    sent = send({"x": np.ones(4, np.float32)})
    assert len(fake.waiting) == 1
    del sent, send
    gc.collect()
    assert not fake.waiting and not fake.live


def test_others_go_on_while_a_run_is_recorded(fake, monkeypatch):
    """A thread runs a program, and programs end, between the first launch that is recorded and the last."""
    x = np.linspace(-1, 1, 5).astype(np.float32)
    other, ending = Program(chain(), "cuda"), [Program(chain(), "cuda")]
    sent = netdsl.device("cuda").sender()({"x": x})
    found = []
    launch = fake.cuLaunchKernel

    def between(*arguments):
        if fake.captured is not None and not found:
            found.append(None)
            thread = threading.Thread(target=lambda: found.append(other.run(sent)["z"]))
            thread.start()
            thread.join()
            ending.clear()
            gc.collect()
        return launch(*arguments)

    monkeypatch.setattr(fake, "cuLaunchKernel", between)
    program = Program(chain(), "cuda")
    np.testing.assert_allclose(found[1], np.exp(x) * 2 + 1, rtol=1e-6)
    np.testing.assert_allclose(program.run({"x": -x})["z"], np.exp(-x) * 2 + 1, rtol=1e-6)


def test_what_ends_a_recording_early_leaves_none(fake, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fake, "cuLaunchKernel", stopped)
        with pytest.raises(KeyboardInterrupt):
            Program(chain(), "cuda")
    gc.collect()
    assert fake.captured is None and not fake.live
    use()


def test_a_slot_comes_back_while_one_is_taken(fake):
    """Garbage is collected wherever an object is made, in `Ahead` too."""
    send = Ahead(cards.find_card(0))

    def made():
        class Holder:
            pass

        holder = Holder()
        holder.me, holder.sent = holder, send({"x": np.ones(4, np.float32)})
        del holder
        gc.collect()
        return []

    send._free.default_factory = made
    thread = threading.Thread(target=send, args=({"y": np.ones(8, np.float32)},), daemon=True)
    send._free[16] = []
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and len(send._free[16]) == 1


def test_what_is_converted_later_is_what_was_sent(fake):
    target = tensor(cards.find_card(0))
    array = np.arange(4)
    sent = Ahead(cards.find_card(0))({"x": array})["x"]
    array[:] = -1
    sent.move_to(target)
    assert (target.copy_out() == np.arange(4)).all()
