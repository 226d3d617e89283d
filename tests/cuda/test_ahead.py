"""Batches that are copied ahead: the same bits, and faults where an event is missing."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import netdsl
from netdsl.data import Batches, Loader, from_mapping
from netdsl.runtime import Program

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda import cards
from netdsl.cuda.ahead import Ahead
from netdsl.cuda.emulated import EmulatedCard
from netdsl.cuda.emulator import HostAccessError
from netdsl.cuda.memory import CudaMemory
from netdsl.cuda.target import CudaTarget
from netdsl.ir import TensorType
from netdsl.schedule import View
from tests.cuda.fake_driver import FakeDriver, Result
from tests.cuda.test_cuda_target import chain
from tests.cuda.test_driver import install
from tests.cuda.test_replay import TEXT


@pytest.fixture
def card():
    return EmulatedCard(0, 1 << 20)


def tensor(card, n=4):
    t = TensorType((n,))
    return CudaMemory(card, t.nbytes).tensor(View.dense(0, t))


def test_what_is_sent_arrives(card):
    target, send = tensor(card), Ahead(card)
    for k in range(3):
        array = np.arange(4, dtype=np.float32) + k
        sent = send({"x": array})["x"]
        array[:] = -1  # the caller's again
        sent.move_to(target)
        assert (target.copy_out() == np.arange(4) + k).all()


def test_slots_are_used_again(card):
    send, target = Ahead(card), tensor(card)
    for _ in range(5):
        first, second = (send({"x": np.ones(4, np.float32)})["x"] for _ in range(2))
        first.move_to(target)
        del second  # a batch that nobody takes
        gc.collect()
    assert len(send._free[16]) == 2


def test_an_array_that_was_moved_can_be_fed_again(card):
    send, target = Ahead(card), tensor(card)
    sent = send({"x": np.full(4, 7, np.float32)})["x"]
    sent.move_to(target)
    other = send({"x": np.zeros(4, np.float32)})["x"]  # has the slot now
    sent.move_to(target)
    assert (target.copy_out() == 7).all()
    other.move_to(target)
    assert (target.copy_out() == 0).all()


def test_other_types_are_converted_as_without(card):
    target = tensor(card)
    Ahead(card)({"x": np.arange(4)})["x"].move_to(target)
    assert (target.copy_out() == np.arange(4)).all()
    assert Ahead(card)({"x": np.zeros(0)}) == {}


def sending(card):
    """A slot that is on its way."""
    memory, host = CudaMemory(card, 16), card.pinned(16)
    events = card.event(), card.event()
    card.send(memory.address, host, *events)
    return memory, host, *events


def test_nobody_reads_before_the_copy_has_landed(card):
    memory, _, _, landed = sending(card)
    target = CudaMemory(card, 16)
    card.copy(target.address, memory.address, 16)
    with pytest.raises(HostAccessError, match="were not written"):
        target.tensor(View.dense(0, TensorType((4,)))).copy_out()
    card.follow(landed)
    card.copy(target.address, memory.address, 16)
    assert (target.tensor(View.dense(0, TensorType((4,)))).copy_out() == 0).all()


def test_nobody_writes_the_host_side_meanwhile(card):
    _, host, _, landed = sending(card)
    host[3] = 1
    with pytest.raises(netdsl.NetError, match="page-locked memory was written while a copy read it"):
        card.follow(landed)


def test_nobody_overwrites_what_a_step_still_reads(card):
    memory, host, used, landed = sending(card)
    card.follow(landed)
    target = CudaMemory(card, 16)
    card.copy(target.address, memory.address, 16)
    with pytest.raises(netdsl.NetError, match="overwrites what the last step still reads"):
        card.send(memory.address, host, used, landed)
    card.mark(used)
    card.send(memory.address, host, used, landed)


def test_results_are_there_when_the_card_was_waited_for(card):
    source = tensor(card)
    source.copy_in(np.ones(4))
    host = card.pinned(16)
    card.fetch(host, source.address, source.view)
    assert (host == 255).all()
    card.wait("a run")
    assert (host.view(np.float32) == 1).all()


def test_the_driver_copies_beside_the_launches(monkeypatch):
    """Nothing of the second stream is done before somebody waits for its event."""
    fake = FakeDriver()
    install(monkeypatch, fake)
    before = set(fake.live)
    program, send = Program(chain(), "cuda"), netdsl.device("cuda").sender()
    for k in range(4):
        x = np.full(5, k, np.float32)
        sent = send({"x": x})
        assert len(fake.waiting) == 1
        fake.calls.clear()
        np.testing.assert_allclose(program.run(sent)["z"], np.exp(x) * 2 + 1, rtol=1e-6)
        assert not fake.waiting and not fake.calls["cuMemcpyHtoDAsync"]
        counts = "cuMemcpyDtoDAsync", "cuGraphLaunch", "cuStreamSynchronize"
        assert [fake.calls[name] for name in counts] == [1, 1, 1]
    assert len(fake.pinned) == 2  # a slot, and the results
    del program, send, sent
    gc.collect()
    assert fake.live == before and not fake.pinned
    cards._card.cache_clear()


def trained(folder, monkeypatch, ahead):
    monkeypatch.setenv("NETDSL_CUDA", "emulated")
    cards._card.cache_clear()
    sent = []
    if not ahead:
        monkeypatch.setattr(CudaTarget, "sender", lambda self: lambda arrays: {})
    else:
        call = Ahead.__call__
        monkeypatch.setattr(Ahead, "__call__", lambda self, arrays: sent.append(arrays) or call(self, arrays))
    rng = np.random.default_rng(0)
    data = {"x": rng.random((10, 6), np.float32), "label": rng.integers(0, 3, 10)}
    trainer = netdsl.Trainer(netdsl.load(folder / "n.net"), data=data, device="cuda")
    trainer.fit()
    return trainer.program.state_dict(), len(sent)


def test_a_training_has_the_same_bits(monkeypatch, tmp_path):
    (tmp_path / "n.net").write_text(TEXT)
    with monkeypatch.context() as patch:
        plain, _ = trained(tmp_path, patch, ahead=False)
    with monkeypatch.context() as patch:
        found, sent = trained(tmp_path, patch, ahead=True)
    assert sent == 6
    for name, array in plain.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)


def test_what_goes_wrong_in_sending_is_raised_in_its_turn():
    batches = Batches(from_mapping({"image": np.zeros((8, 2))}), batch=4)

    def send(arrays):
        raise netdsl.NetError(netdsl.source.Diagnostic("memory", "no memory left"))

    with Loader(batches, 1, send=send) as loader, pytest.raises(netdsl.NetError, match="no memory left"):
        next(loader)


def test_what_the_card_has_no_room_for_is_copied_when_it_is_used():
    """Slots leave room for programs that are made later."""
    card = EmulatedCard(0, 100_000)
    send, array = Ahead(card), np.ones(5_000, np.float32)
    sent = [send({"x": array}) for _ in range(6)]
    assert [len(one) for one in sent] == [1, 1, 1, 0, 0, 0]
    assert card.available() >= 2 * array.nbytes


def test_a_refused_slot_is_no_mistake(monkeypatch):
    fake = FakeDriver()
    install(monkeypatch, fake)
    send = netdsl.device("cuda").sender()
    fake.fails = {"cuMemHostAlloc": Result.CUDA_ERROR_OUT_OF_MEMORY}
    assert send({"x": np.ones(4, np.float32)}) == {}
    gc.collect()
    assert not fake.live
    fake.fails = {"cuMemHostAlloc": Result.CUDA_ERROR_UNKNOWN}
    with pytest.raises(netdsl.NetError, match="the CUDA driver refuses cuMemHostAlloc"):
        send({"x": np.ones(4, np.float32)})
    cards._card.cache_clear()


def test_a_batch_that_just_fits_is_trained_with(monkeypatch, tmp_path):
    """Where inputs are nearly all that a network needs; the last batch is a program of its own."""
    (tmp_path / "n.net").write_text(
        "net N { input x: [400]; output y = x -> dense(3) }\n"
        "train { loss = cross_entropy(y, label); optimizer = sgd(lr = 0.1); epochs = 2; batch = 60 }"
    )
    monkeypatch.setenv("NETDSL_CUDA", "emulated")
    card = EmulatedCard(0, 300_000)
    monkeypatch.setattr(cards, "_card", lambda number, checked: card)
    rng = np.random.default_rng(0)
    data = {"x": rng.random((160, 400), np.float32), "label": rng.integers(0, 3, 160)}
    trainer = netdsl.Trainer(netdsl.load(tmp_path / "n.net"), data=data, device="cuda")
    assert len(trainer.fit().history) == 2


def test_programs_of_two_threads_read_their_own_results(card):
    """One fetches at the worst of moments: when the other one has seen what there was, and forgets it."""
    source, found = tensor(card), []
    source.copy_in(np.ones(4))
    host = card.pinned(16)
    fetching = threading.Thread(target=lambda: card.fetch(host, source.address, source.view))

    class Fetched(list):
        def clear(self):
            fetching.start()
            fetching.join(0.2)
            super().clear()
            found.append(True)

    card._fetched = Fetched()
    assert (source.copy_out() == 1).all() and found
    fetching.join()
    card._fetched = list(card._fetched)
    card.wait("a run")
    assert (host.view(np.float32) == 1).all()
