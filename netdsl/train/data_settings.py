"""The settings of `data { }`, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from netdsl.data import AUGMENTATIONS, NORMALIZERS, PREPROCESSING, SOURCES, DataPlan, Usage
from netdsl.data.sources import (
    SETTINGS,
    as_augmentations,
    as_normalizer,
    as_source,
    as_steps,
    meant_source,
)
from netdsl.elaborate import CallValue, Network, SectionSetting, shown
from netdsl.source import Diagnostic, Mistakes, NetError
from netdsl.train.calls import each_named, named


def data_plan(network: Network, seed: int, given: Usage | None = None) -> DataPlan:
    """The `data` section of a network; raises NetError when there is none or a value makes no sense."""
    if not network.data:
        message = "the file names no data"
        raise NetError(Diagnostic("setting", message, fix="data { train = mnist.train; test = mnist.test }"))
    problems = Mistakes()
    values: dict[str, object] = {}
    for name, setting in network.data.items():
        with problems.at(setting.span):
            values[name] = _data_value(name, setting)
    places = {name: setting.span for name, setting in network.data.items()}
    base = Path(network.source.name).parent
    with problems.at():
        plan = DataPlan(values, base=base, seed=seed, given=given, places=places)
    problems.done()
    return plan


def _data_value(name: str, setting: SectionSetting) -> object:
    """What a setting of the section `data` names."""
    value = setting.value
    if value is None and name in ("test", "validation", "augment", "preprocess"):
        return SETTINGS[name].default
    if name == "augment":
        belongs = partial(_elsewhere, PREPROCESSING, "preprocess")
        return each_named(setting, AUGMENTATIONS, "augmentation", as_augmentations, belongs)
    if name == "preprocess":
        belongs = partial(_elsewhere, AUGMENTATIONS, "augment")
        return each_named(setting, PREPROCESSING, "preprocessing", as_steps, belongs)
    if name == "class_weights" and isinstance(value, CallValue):
        return shown(value)
    if name == "normalize":
        return as_normalizer(named(value, NORMALIZERS, "normalisation", setting.span))
    if name in ("train", "test", "validation"):
        if name == "validation" and isinstance(value, (int, float)):
            return value
        hint = partial(meant_source, setting=name)
        return as_source(named(value, SOURCES, "data set", setting.span, hint), name)
    return value


def _elsewhere(known: Mapping[str, Any], setting: str, name: str) -> str | None:
    """A hint for what belongs in another list, or is a setting of its own."""
    if name in known:
        return f"it belongs in the list {setting}"
    return f"it is a setting of its own: normalize = {name}" if name in NORMALIZERS else None
