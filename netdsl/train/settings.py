"""The settings of `train { }` and `data { }`, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netdsl.data import AUGMENTATIONS, NORMALIZERS, SOURCES, DataPlan, Normalization
from netdsl.elaborate import Network, Setting
from netdsl.source import Diagnostic, NetError
from netdsl.train.make import FLOAT32_MAX, is_number, make, shown
from netdsl.train.optimizers import OPTIMIZERS, Optimizer, Sgd
from netdsl.train.schedules import SCHEDULES, Constant, Schedule


@dataclass(frozen=True)
class TrainSettings:
    """How to train: see docs/training.md for each.

    `evaluation_batch` is `batch` of the section `eval`, else that of `train`; `checkpoint_seconds` the time
    after which a checkpoint is written within an epoch.
    """

    optimizer: Optimizer = field(default_factory=Sgd)
    schedule: Schedule = field(default_factory=Constant)
    epochs: int = 10
    batch: int = 32
    evaluation_batch: int = 32
    seed: int = 0
    clip_norm: float | None = None
    checkpoint_seconds: float = 30.0


def train_settings(network: Network) -> TrainSettings:
    """The `train` section of a network; raises NetError for values that make no sense."""
    given = network.train
    if network.objective is None:
        message = "the file does not say how to train: it has no train section with a loss"
        raise NetError(Diagnostic("setting", message, fix="train { loss = cross_entropy(logits, label) }"))
    values: dict[str, Any] = {"optimizer": Sgd(), "schedule": Constant(), "batch": TrainSettings.batch}
    for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        if name in given:
            values[name] = _chosen(name, known, given[name])
    for name in ("epochs", "batch", "seed"):
        if name in given:
            values[name] = _integer(name, given[name], low=0 if name == "seed" else 1)
    for name in ("clip_norm", "checkpoint_seconds"):
        if name in given:
            values[name] = _positive(name, given[name])
    own = network.eval.get("batch")
    values["evaluation_batch"] = values["batch"] if own is None else _integer("batch", own, low=1)
    momentum = values["schedule"].highest_momentum
    if momentum is not None:
        values["optimizer"] = values["optimizer"].with_momentum(momentum)
    return TrainSettings(**values)


def settings_text(network: Network) -> dict[str, str]:
    """Every setting of `data`, `train` and `eval` by its full name, such as `train.batch`, as text."""
    sections = {"data": network.data, "train": network.train, "eval": network.eval}
    return {f"{name}.{key}": shown(s.value) for name, found in sections.items() for key, s in found.items()}


def _chosen(name: str, known: Mapping[str, type], setting: Setting) -> Any:
    made = make(setting.value, known, name, setting.span)
    if not isinstance(made, tuple(known.values())):
        message = f"{name} is one of {', '.join(known)}, not {shown(setting.value)}"
        raise NetError(Diagnostic("setting", message, setting.span))
    return made


def _integer(name: str, setting: Setting, low: int) -> int:
    value = setting.value
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**31:
        message = f"{name} must be a whole number from {low}, not {shown(value)}"
        raise NetError(Diagnostic("setting", message, setting.span))
    return value


def _positive(name: str, setting: Setting) -> float:
    value = setting.value
    if not is_number(value) or not 0 < value <= FLOAT32_MAX:
        message = f"{name} must be a number above 0, not {shown(value)}"
        raise NetError(Diagnostic("setting", message, setting.span))
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
