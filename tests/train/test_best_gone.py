"""A run that goes on without the checkpoint of its best epoch, which may be deleted or damaged meanwhile."""

import numpy as np
import pytest

import netdsl
from netdsl.elaborate import elaborate
from netdsl.source import NetError, NetWarning, Source
from netdsl.train import Callback

TEXT = """net A {
  input x: [4]
  output y = x -> dense(3)
}
train { loss = cross_entropy(y, label); epochs = 4; batch = 8; %s }
"""
RANDOM = np.random.default_rng(0)
ARRAYS = {"x": RANDOM.random((32, 4)).astype(np.float32), "label": np.arange(32) % 3}


class End(Callback):
    def on_batch_end(self, loop, values):
        if loop.progress.step == 5:
            loop.stop()


def trainer(folder, stop="", callbacks=()):
    network = elaborate(Source("a.net", TEXT % stop), 1)
    data = netdsl.data.DataPlan({"train": ARRAYS, "validation": 0.25})
    return netdsl.Trainer(network, folder, data=data, callbacks=callbacks)


def test_a_best_checkpoint_that_is_gone_is_told_and_written_anew(tmp_path):
    trainer(tmp_path, callbacks=[End()]).fit()
    (tmp_path / "best.safetensors").unlink()
    with pytest.warns(NetWarning, match=r"best\.safetensors is gone"):
        trainer(tmp_path).fit(resume=True)
    assert (tmp_path / "best.safetensors").exists()


def test_a_damaged_one_that_would_be_the_result_is_refused_at_once(tmp_path):
    trainer(tmp_path, "stop = patience(3)", [End()]).fit()
    best, last = tmp_path / "best.safetensors", (tmp_path / "last.safetensors").read_bytes()
    best.write_bytes(best.read_bytes()[:300])
    with pytest.raises(NetError, match=r"best\.safetensors is damaged"):
        trainer(tmp_path, "stop = patience(3)").fit(resume=True)
    assert (tmp_path / "last.safetensors").read_bytes() == last
