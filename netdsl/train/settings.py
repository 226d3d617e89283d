"""The settings of `train { }` and `data { }`, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netdsl.data import AUGMENTATIONS, NORMALIZERS, SOURCES, DataPlan, Normalization
from netdsl.elaborate import Network, Setting
from netdsl.source import Diagnostic, NetError
from netdsl.train.make import make
from netdsl.train.optimizers import OPTIMIZERS, Optimizer, Sgd
from netdsl.train.schedules import SCHEDULES, Constant, Schedule


@dataclass(frozen=True)
class TrainSettings:
    """How to train: see docs/training.md for each."""

    optimizer: Optimizer = field(default_factory=Sgd)
    schedule: Schedule = field(default_factory=Constant)
    epochs: int = 10
    batch: int = 32
    seed: int = 0
    clip_norm: float | None = None
    checkpoint_seconds: float = 30.0


def train_settings(network: Network) -> TrainSettings:
    """The `train` section of a network; raises NetError for values that make no sense."""
    given = network.train
    if network.objective is None:
        message = "the file does not say how to train: it has no train section with a loss"
        raise NetError(Diagnostic("setting", message, fix="train { loss = cross_entropy(logits, label) }"))
    values: dict[str, Any] = {}
    for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        if name in given:
            made = make(given[name].value, known, name, given[name].span)
            if not isinstance(made, tuple(known.values())):
                raise NetError(
                    Diagnostic("setting", f"{name} is one of {', '.join(known)}", given[name].span)
                )
            values[name] = made
    for name in ("epochs", "batch", "seed"):
        if name in given:
            values[name] = _integer(name, given[name], low=0 if name == "seed" else 1)
    for name in ("clip_norm", "checkpoint_seconds"):
        if name in given:
            values[name] = _positive(name, given[name])
    return TrainSettings(**values)


def _integer(name: str, setting: Setting, low: int) -> int:
    value = setting.value
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**31:
        message = f"{name} must be a whole number from {low}, not {value!r}"
        raise NetError(Diagnostic("setting", message, setting.span))
    return value


def _positive(name: str, setting: Setting) -> float:
    value = setting.value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise NetError(Diagnostic("setting", f"{name} must be above 0, not {value!r}", setting.span))
    return float(value)


def data_plan(network: Network, seed: int, normalization: Normalization | None = None) -> DataPlan:
    """The `data` section of a network; raises NetError when there is none or a value makes no sense."""
    if not network.data:
        message = "the file names no data"
        raise NetError(Diagnostic("setting", message, fix="data { train = mnist.train; test = mnist.test }"))
    tables: Mapping[str, Mapping[str, Any]] = {"normalize": NORMALIZERS, "augment": AUGMENTATIONS}
    words = {"normalize": "normalisation", "augment": "augmentation"}
    values = {}
    for name, setting in network.data.items():
        table, what = tables.get(name, SOURCES), words.get(name, "data set")
        entries = setting.value if isinstance(setting.value, (list, tuple)) else [setting.value]
        made = [make(v, table, what, setting.span) for v in entries]
        values[name] = made if isinstance(setting.value, (list, tuple)) else made[0]
    base = Path(network.source.name).parent
    return DataPlan(values, base=base, seed=seed, normalization=normalization)
