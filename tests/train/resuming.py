"""Rows of the matrix of what resumes: trainings with settings from netdsl's own tables, and how they are stopped.

A new optimiser, schedule, average, constraint or augmentation is in a row by itself.
"""

import itertools
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netdsl.data.augment.mix import Mix
from netdsl.data.augment.sound import Sound
from netdsl.data.augment.table import CHANGES
from netdsl.data.augment.table import EXAMPLES as CHANGE_EXAMPLES
from netdsl.elaborate import elaborate
from netdsl.source import Source
from netdsl.train import Callback, Trainer
from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.tables import AVERAGES, CONSTRAINTS

#: what is fed, by kind: pictures of bytes, sounds, spectra
SHAPES = {"pictures": (8, 8, 3), "sounds": (600,), "spectra": (12, 6)}
SPLITS = {"train": 40, "validation": 16, "test": 8}
TEXT = """
net Tiny {
  input x: SHAPE
  output logits = x -> flatten -> dense(5) -> batch_norm -> tanh -> dropout(0.2) -> dense(3)
}
data {
  train      = npz("KIND-train.npz", x = "x", label = "label")
  validation = npz("KIND-validation.npz", x = "x", label = "label")
  test       = npz("KIND-test.npz", x = "x", label = "label")
}
train {
  loss      = cross_entropy(logits, label)
  metrics   = [accuracy(logits, label)]
  optimizer = sgd(lr = 0.1, momentum = 0.9)
  batch     = 8
  epochs    = 3
  checkpoint_seconds = 0.000001
}
"""
#: the settings of those that keep more, or have no defaults that make sense in three epochs of five steps
OPTIMIZER = {
    "sgd": "sgd(lr = 0.05, momentum = 0.9, dampening = 0.1)",
    "rmsprop": "rmsprop(momentum = 0.5, centered = true)",
    "adam": "adam(amsgrad = true)",
}
SCHEDULE = {
    "step": "step(every = 1, factor = 0.5, warmup = 0.5)",
    "exponential": "exponential(rate = 0.7)",
    "inverse_time": "inverse_time(rate = 0.5, staircase = true)",
    "polynomial": "polynomial(power = 2)",
    "plateau": "plateau(factor = 0.5, patience = 1, metric = loss)",
    "cosine": "cosine(warmup = 1)",
    "cosine_restarts": "cosine_restarts(first = 1, factor = 2)",
    "one_cycle": "one_cycle(momentum = false)",
    "cyclical": "cyclical(low = 0.001, high = 0.05, up = 1, momentum = false)",
}
AVERAGE = {"ema": "ema(0.9)", "swa": "swa(start = 0.5)"}
CONSTRAINT = {"max_norm": "max_norm(1)"}
CHANGE = CHANGE_EXAMPLES | {
    "random_crop": "random_crop(8, padding = 2)",
    "random_resized_crop": "random_resized_crop(8)",
    "cutout": "cutout(3)",
    "time_mask": "time_mask(4)",
    "frequency_mask": "frequency_mask(2)",
}
HEAD = 'stage(epochs = 1, train = "dense2")'
FORMS = {
    "stages": {"stages": f"[{HEAD}, stage(epochs = 2, lr = 0.02, schedule = cosine)]"},
    "features": {
        "stages": f"[{HEAD}, stage(epochs = 1, schedule = one_cycle), {HEAD}]",
        "cache_features": "true",
    },
    "snapshots": {"snapshots": "3", "schedule": "cosine"},
    "stop": {"stages": f"[{HEAD}, stage(epochs = 5)]", "stop": "patience(1, loss)"},
}
#: rows that are left out of the default run
SLOW = re.compile(r".*-(1|2|3|5|6|7|9|11|none)|momentum|sounds")


@dataclass(frozen=True)
class Row:
    """A training: settings of `train` that differ from those of TEXT, the kind of its data, and its changes."""

    name: str
    settings: dict[str, str]
    kind: str = "pictures"
    augment: list[str] = field(default_factory=list)

    def trainer(self, data: Path, out: Path, *callbacks: Callback) -> Trainer:
        """A new trainer on the files of `written`."""
        text = TEXT.replace("KIND", self.kind).replace("SHAPE", str([*SHAPES[self.kind]]))
        given = {f"train.{name}": value for name, value in self.settings.items()}
        if "stages" in self.settings:
            text = text.replace("  epochs    = 3\n", "")
        if self.augment:
            given["data.augment"] = f"[{', '.join(self.augment)}]"
        network = elaborate(Source(str(data / "tiny.net"), text), 8, given)
        return Trainer(network, out, threads=1, callbacks=callbacks)


def written(folder: Path) -> Path:
    """The data of all rows, as files in a folder: a bright channel, or a pitch, for each of three classes."""
    rng = np.random.default_rng(0)
    for kind, shape in SHAPES.items():
        for split, count in SPLITS.items():
            label = np.arange(count) % 3
            noise = rng.normal(size=(count, *shape))
            if kind == "pictures":
                x = np.clip(90 + 40 * noise + 70 * np.eye(3)[label][:, None, None], 0, 255).astype(np.uint8)
            else:
                wave = np.sin(np.linspace(0, 30, shape[0]) * (1 + label[:, None]))
                x = 0.1 * noise + 0.4 * wave.reshape(count, shape[0], *(1,) * (len(shape) - 1))
                x = x.astype(np.float32)
            np.savez(folder / f"{kind}-{split}.npz", x=x, label=label)
    return folder


def change(name: str) -> str:
    """A change as a file has it."""
    return CHANGE.get(name, name)


def changes_of(kind: str) -> list[str]:
    """The names of the changes that this kind of data takes, those of sounds for sounds."""
    sound = [n for n, kind_of in CHANGES.items() if issubclass(kind_of, Sound)]
    if kind == "pictures":
        return [n for n in CHANGES if n not in sound]
    return [n for n in sound if CHANGES[n].sounds == (kind == "sounds")]


def mixing(name: str) -> bool:
    """Whether a change stands last in its list."""
    return issubclass(CHANGES[name], Mix)


def matrix() -> list[Row]:
    """Every optimiser, schedule, change, average and constraint, in pairs that differ from row to row."""
    schedules = [SCHEDULE.get(n, n) for n in SCHEDULES] + ["[constant(epochs = 1, lr = 0.01), cosine]"]
    averages = ["none", *(AVERAGE.get(n, n) for n in AVERAGES)]
    constraints = [CONSTRAINT.get(n, n) for n in CONSTRAINTS]
    pictures = changes_of("pictures")
    count = max(len(OPTIMIZERS), len(schedules))
    rows = []
    pairs = itertools.zip_longest(OPTIMIZERS, schedules)
    for k, (optimizer, schedule) in enumerate(pairs):
        settings = {
            "optimizer": OPTIMIZER.get(optimizer or "sgd", optimizer or "sgd"),
            "schedule": schedule or "one_cycle(momentum = false)",
            "average": averages[k % len(averages)],
            "accumulate": str((1, 2, 4)[k // 3 % 3]),
        }
        if k % 4 == 1:
            settings["constraints"] = f"[{constraints[k // 4 % len(constraints)]}]"
        names = sorted(pictures[k::count], key=mixing)
        rows.append(Row(f"{optimizer}-{k}", settings, augment=[change(n) for n in names]))
    rows += [Row(kind, {}, kind, [change(n) for n in changes_of(kind)]) for kind in ("sounds", "spectra")]
    momentum = {"optimizer": "nadam", "schedule": "one_cycle", "average": "swa(start = 0, every = 2)"}
    rows.append(Row("momentum", {**momentum, "accumulate": "4"}))
    clipped = {"optimizer": "lamb", "average": "ema(0.9, warmup = true)", "clip_value": "0.1"}
    rows.append(Row("clipped", {**clipped, "clip_norm": "0.2"}))
    rows += [
        Row(f"{form}-{average.partition('(')[0]}", {**settings, "average": average})
        for form, settings in FORMS.items()
        for average in averages
    ]
    return rows


class Copies(Callback):
    """Copies the files of a run as they are when some steps are saved: what is left of a run that is killed then."""

    def __init__(self, out: Path, steps: tuple[int, ...]) -> None:
        self.out, self.steps = out, steps

    def on_save(self, loop, result):
        if loop.progress.step in self.steps:
            copied(self.out, self.out.with_name(f"after-{loop.progress.step}"))


def copied(run: Path, to: Path) -> None:
    """The log and the checkpoints of a run."""
    to.mkdir()
    for path in (*run.glob("*.safetensors"), run / "metrics.jsonl"):
        shutil.copy(path, to)


def files(folder: Path) -> dict[str, bytes]:
    """All checkpoints of a run."""
    return {p.name: p.read_bytes() for p in folder.glob("*.safetensors")}


class Wait(Callback):
    """Tells a pipe that a step is made, and waits for the end."""

    def __init__(self, step: int, pipe: int) -> None:
        self.step, self.pipe = step, pipe

    def on_batch_end(self, loop, values):
        if loop.progress.step == self.step:
            os.write(self.pipe, b"!")
            time.sleep(60)


def killed(row: Row, data: Path, out: Path, step: int) -> None:
    """Train in a child, and `kill -9` it when a step is made and not yet saved."""
    end, begin = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            row.trainer(data, out, Wait(step, begin)).fit()
        finally:
            os._exit(1)
    os.close(begin)
    reached = os.read(end, 1)
    os.close(end)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL and reached
