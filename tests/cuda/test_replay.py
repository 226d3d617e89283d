"""A recorded run sees what changes from step to step: the same bits as launches one by one."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda import driver
from tests.cuda.fake_driver import FakeDriver
from tests.cuda.test_driver import install

TEXT = """\
net N {
  input x: [6]
  output y = x -> dense(4) -> relu -> dropout(0.5) -> dense(3)
}
train {
  loss = cross_entropy(y, label); optimizer = adamw(lr = 0.1); schedule = cosine(warmup = 0.5)
  batch = 4; epochs = 3; clip_norm = 1.0
}
"""


def trained(monkeypatch, folder, replayed):
    fake = FakeDriver(capacity=1 << 22)
    install(monkeypatch, fake)
    bind = driver.DriverCard.bind
    if not replayed:
        monkeypatch.setattr(
            driver.DriverCard, "bind", lambda card, launches, replayed=False: bind(card, launches)
        )
    rng = np.random.default_rng(0)
    data = {"x": rng.random((8, 6), np.float32), "label": rng.integers(0, 3, 8)}
    trainer = netdsl.Trainer(netdsl.load(folder / "n.net"), data=data, device="cuda")
    result = trainer.fit()
    return trainer.program.state_dict(), [epoch.train for epoch in result.history], fake


def test_a_replayed_training_equals_plain_launches(monkeypatch, tmp_path):
    (tmp_path / "n.net").write_text(TEXT)
    with monkeypatch.context() as patch:
        plain, losses, fake = trained(patch, tmp_path, replayed=False)
        assert not fake.calls["cuGraphLaunch"] and fake.calls["cuLaunchKernel"] > 6 * 20
    with monkeypatch.context() as patch:
        replayed, again, fake = trained(patch, tmp_path, replayed=True)
        assert fake.calls["cuGraphLaunch"] == 6
    assert losses == again and len({str(loss) for loss in losses}) == 3
    for name, array in plain.items():
        np.testing.assert_array_equal(array, replayed[name], err_msg=name)


def test_a_recording_sees_new_rates(monkeypatch, tmp_path):
    """With a rate of 0 nothing moves; the same recording then learns."""
    (tmp_path / "n.net").write_text(TEXT)
    install(monkeypatch, FakeDriver(capacity=1 << 22))
    from netdsl.data import Batch
    from netdsl.train.learner import Learner
    from netdsl.train.settings import train_settings
    from netdsl.train.turn import Turn

    network = netdsl.load(tmp_path / "n.net")
    learner = Learner(network, train_settings(network), "cuda")
    arrays = {"x": np.ones((4, 6), np.float32), "label": np.arange(4) % 3}
    batch = Batch(arrays, np.arange(4), 0, 0, False)
    before = learner.program.state_dict()
    first = learner.step(batch, Turn(0, 0, 0.0))
    still = learner.program.state_dict()
    second = learner.step(batch, Turn(1, 1, 0.5))
    after = learner.program.state_dict()
    weights = [name for name in before if "/" not in name]
    assert all((before[n] == still[n]).all() for n in weights)
    assert any((after[n] != still[n]).any() for n in weights)
    assert first["loss"] != second["loss"], "another seed drops other units"
