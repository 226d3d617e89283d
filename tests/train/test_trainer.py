"""Training end to end on the embedded digits: determinism, resuming, diagnosing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Callback, Trainer, load_checkpoint

TEXT = """
net Tiny {
  input image: [8, 8, 1]
  output logits = image -> conv(4, 3, stride = 2) -> batch_norm -> relu -> flatten -> dropout(0.1) -> dense(10)
}
data { train = digits.train; test = digits.test; validation = 0.1; augment = [shift(1)] }
train {
  loss = cross_entropy(logits, label)
  optimizer = OPTIMIZER
  epochs = 2
  batch = 64
  metrics = [accuracy(logits, label)]
}
"""


def network(optimizer="adam(lr = 0.01)", text=TEXT):
    return elaborate(Source("tiny.net", text.replace("OPTIMIZER", optimizer)), batch=64)


def final(path: Path):
    return load_checkpoint(path / "last.safetensors").arrays


class StopAfter(Callback):
    """Presses Ctrl-C after some steps; after 0, when the training begins."""

    def __init__(self, steps):
        self.left = steps

    def on_train_begin(self, loop):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

    def on_batch_end(self, loop, values):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("optimizer", ["sgd(lr = 0.1, momentum = 0.9, nesterov = true)", "adam(lr = 0.01)"])
@pytest.mark.parametrize("steps", [0, 1, 20, 25])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, optimizer, steps):
    Trainer(network(optimizer), tmp_path / "a", threads=2).fit()
    first = Trainer(network(optimizer), tmp_path / "b", threads=1, callbacks=[StopAfter(steps)]).fit()
    assert first.interrupted and first.steps == steps
    second = Trainer(network(optimizer), tmp_path / "b", threads=2).fit(resume=True)
    assert not second.interrupted
    a, b = final(tmp_path / "a"), final(tmp_path / "b")
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
    events = [json.loads(x) for x in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2]
    assert events[-1]["event"] == "end"


def test_nan_names_the_first_layer():
    with pytest.raises(NetError) as caught:
        Trainer(network("sgd(lr = 1e30)", TEXT.replace("-> batch_norm", ""))).fit()
    assert "is not finite" in str(caught.value) and caught.value.diagnostics[0].code == "nan"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OPTIMIZER", "addam(lr = 0.1)", "did you mean adam?"),
        ("OPTIMIZER", "adam(learning_rate = 0.1)", "has no setting learning_rate"),
        ("OPTIMIZER", 'adam(lr = "fast")', "lr must be a number"),
        ("epochs = 2", "epochs = 0", "epochs must be a whole number from 1"),
        ("digits.train", "digts.train", "did you mean digits.train?"),
        ("shift(1)", "shitf(1)", "did you mean shift?"),
    ],
)
def test_wrong_settings_are_diagnosed(old, new, message):
    with pytest.raises(NetError) as caught:
        Trainer(network(text=TEXT.replace(old, new))).fit()
    assert message in str(caught.value)


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path):
    """kill -9 at 10 moments: always a loadable checkpoint, and in the end the same bits."""
    path = tmp_path / "tiny.net"
    text = TEXT.replace("OPTIMIZER", "adam(lr = 0.01)").replace(
        "epochs = 2", "epochs = 60; checkpoint_seconds = 0.05"
    )
    path.write_text(text)
    command = [sys.executable, "-m", "netdsl", "train", str(path), "--out"]
    subprocess.run([*command, str(tmp_path / "a")], check=True, stdout=subprocess.DEVNULL)
    rng = random.Random(0)
    out = tmp_path / "b"
    for k in range(10):
        process = subprocess.Popen(
            [*command, str(out), *(["--resume"] if k else [])], stdout=subprocess.DEVNULL
        )
        while not (out / "last.safetensors").exists():
            assert process.poll() is None, "the training ended without a checkpoint"
            time.sleep(0.01)
        time.sleep(1.5 + rng.random())
        process.kill()
        process.wait()
        load_checkpoint(out / "last.safetensors")
    subprocess.run([*command, str(out), "--resume"], check=True, stdout=subprocess.DEVNULL)
    a, b = final(tmp_path / "a"), final(out)
    assert all(np.array_equal(a[k], b[k]) for k in a)
