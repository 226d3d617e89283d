"""A training that is interrupted and resumed equals one that is not, bit for bit, whatever its settings."""

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netdsl.train import Callback, Trainer
from netdsl.train.optimizers import OPTIMIZERS

from .nets import TEXT, network, plan

NORMED = TEXT.replace("dense(8) -> tanh", "dense(8) -> batch_norm -> tanh -> dropout(0.2)")
SETTINGS = {
    "sgd": "sgd(lr = 0.05, momentum = 0.9, dampening = 0.1)",
    "rmsprop": "rmsprop(momentum = 0.5, centered = true)",
    "adam": "adam(amsgrad = true)",
}
SCHEDULES = [
    "constant",
    "step(every = 1, factor = 0.5, warmup = 0.5)",
    "exponential(rate = 0.7)",
    "inverse_time(rate = 0.5, staircase = true)",
    "polynomial(power = 2)",
    "plateau(factor = 0.5, patience = 1, metric = loss)",
    "cosine(warmup = 1)",
    "cosine_restarts(first = 1, factor = 2)",
    "one_cycle(momentum = false)",
    "cyclical(low = 0.001, high = 0.05, up = 1, momentum = false)",
    "[constant(epochs = 1, lr = 0.01), cosine]",
]
AVERAGES = ["none", "ema(0.9)", "swa(start = 0.5)"]
ACCUMULATED = [1, 2, 4]


def matrix():
    """Every optimiser, every schedule, every average and accumulation, in pairs that differ from row to row."""
    rows = itertools.zip_longest(OPTIMIZERS, SCHEDULES)
    for k, (optimizer, schedule) in enumerate(rows):
        name = optimizer or "sgd"
        yield {
            "optimizer": SETTINGS.get(name, name),
            "schedule": schedule or "one_cycle(momentum = false)",
            "average": AVERAGES[k % 3],
            "accumulate": ACCUMULATED[(k // 3) % 3],
        }
    yield {
        "optimizer": "nadam",
        "schedule": "one_cycle",
        "average": "swa(start = 0, every = 2)",
        "accumulate": 4,
    }
    yield {"optimizer": "muon", "schedule": "cyclical(0.001, 0.02, 1)", "constraints": "[max_norm(1)]"}
    yield {"optimizer": "lamb", "average": "ema(0.9, warmup = true)", "clip_value": 0.1, "clip_norm": 0.2}


CASES = list(matrix())


class Stop(Callback):
    def __init__(self, *steps):
        self.at = steps

    def on_batch_end(self, loop, values):
        if loop.progress.step in self.at:
            loop.stop()


def trainer(folder, settings, *callbacks):
    """5 batches of 8 an epoch; the last groups are short."""
    net = network(text=NORMED, epochs=3, **settings)
    return Trainer(net, folder, plan(40), callbacks=callbacks)


@pytest.mark.parametrize(
    "settings", CASES, ids=[c["optimizer"].partition("(")[0] + f"-{k}" for k, c in enumerate(CASES)]
)
def test_interrupted_equals_uninterrupted(tmp_path, settings):
    """In the midst of a group, at its end, at the end of an epoch."""
    whole = trainer(tmp_path / "a", settings).fit()
    one = trainer(tmp_path / "b", settings, Stop(3, 7, 10))
    assert one.fit().steps == 3
    for steps in (7, 10, 15):
        resumed = one.fit(resume=True)
        assert resumed.steps == steps
    assert resumed.history == whole.history and resumed.test == whole.test
    for name in ("last", "best"):
        one, other = (tmp_path / x / f"{name}.safetensors" for x in "ab")
        assert one.read_bytes() == other.read_bytes()


KILLED = """
import sys
from pathlib import Path
from tests.train.test_resume_matrix import CASES, Callback, trainer

class Tell(Callback):
    def on_batch_end(self, loop, values):
        print(loop.progress.step, flush=True)
        if loop.progress.step == 11:
            sys.stdin.read()

trainer(Path(sys.argv[1]), {**CASES[-3], "checkpoint_seconds": 1e-6}, Tell()).fit()
"""


def test_killed_in_the_midst_equals_uninterrupted(tmp_path):
    """kill -9 within an epoch, within a group, in the midst of swa."""
    settings = {**CASES[-3], "checkpoint_seconds": 1e-6}
    whole = trainer(tmp_path / "a", settings).fit()
    root = Path(__file__).parents[2]
    words = [sys.executable, "-c", KILLED, str(tmp_path / "b")]
    with subprocess.Popen(
        words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.strip() == "11":
                break
        time.sleep(0.1)
        process.kill()
    resumed = trainer(tmp_path / "b", settings).fit(resume=True)
    assert resumed.history == whole.history
    for name in ("last", "best"):
        one, other = (tmp_path / x / f"{name}.safetensors" for x in "ab")
        assert one.read_bytes() == other.read_bytes()
