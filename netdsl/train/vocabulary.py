"""What a file may name besides ops, with its documentation: initialisers, optimisers, schedules, what is of data."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from netdsl.data.augment.table import CHANGES
from netdsl.data.preprocess import STEPS
from netdsl.data.registry import DATASETS
from netdsl.data.sources import NORMALIZERS, SOURCES, NamedSource
from netdsl.ir.literal import format_setting
from netdsl.ops.describe import OpDoc, SettingDoc, describe_initializers, describe_other
from netdsl.source import counted
from netdsl.train.full_batch.method import LINE_SEARCHES
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.make import EXAMPLES, bounds
from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.tables import AVERAGES, CONSTRAINTS, GROUPS, STAGES, STARTS, STOPS

#: kinds of things, and where in a file they stand
_KINDS: tuple[tuple[str, Mapping[str, Any], str], ...] = (
    ("optimisers", OPTIMIZERS, "train {{ optimizer = {} }}"),
    ("full-batch optimisers", FULL_BATCH, "train {{ optimizer = {} }}"),
    ("line searches", LINE_SEARCHES, "train {{ optimizer = lbfgs(line_search = {}) }}"),
    ("groups of weights", GROUPS, "train {{ groups = [{}] }}"),
    ("constraints", CONSTRAINTS, "train {{ constraints = [{}] }}"),
    ("averages of weights", AVERAGES, "train {{ average = {} }}"),
    ("schedules", SCHEDULES, "train {{ schedule = {} }}"),
    ("data sets", SOURCES, "data {{ train = {} }}"),
    ("preprocessing", STEPS, "data {{ preprocess = [{}] }}"),
    ("normalisation", NORMALIZERS, "data {{ normalize = {} }}"),
    ("augmentation", CHANGES, "data {{ augment = [{}] }}"),
    ("weights to start from", {"load": STARTS["load"]}, "train {{ start = {} }}"),
    ("stages", STAGES, "train {{ stages = [{}] }}"),
    ("early stopping", STOPS, "train {{ stop = {} }}"),
)


def vocabulary() -> list[OpDoc]:
    """The documentation of all of it, kind by kind."""
    found = [
        _split(name, family, target)
        if isinstance(target, NamedSource)
        else _described(name, family, target, use)
        for family, targets, use in _KINDS
        for name, target in targets.items()
    ]
    return [*describe_initializers(), *found]


def _split(name: str, family: str, split: NamedSource) -> OpDoc:
    """A split of a data set known by name."""
    known = DATASETS[split.dataset]
    samples, classes = counted(known.sizes[split.split], "sample"), counted(len(known.classes), "class")
    size = f"{samples} {list(known.shape)} of {classes}"
    text = f"{known.title}: {size}.\n\n{known.homepage}\nLicence: {known.licence}."
    return describe_other(name, family, text, f"data {{ {split.split} = {name} }}")


def _described(name: str, family: str, target: Any, use: str) -> OpDoc:
    """Something with settings, by what its class says."""
    example = use.format(EXAMPLES.get(name, name))
    return describe_other(name, family, inspect.cleandoc(target.__doc__), example, tuple(_settings(target)))


def _settings(target: Any) -> Iterator[SettingDoc]:
    limits = {f.name: f.metadata for f in dataclasses.fields(target)}
    for p in inspect.signature(target).parameters.values():
        if p.kind is p.VAR_KEYWORD:
            yield SettingDoc("NAME", "", '"array"', True)
            continue
        limit, choices = limits[p.name], getattr(target, "choices", {}).get(p.name, {})
        text = bounds(limit["low"], limit["high"]) if "low" in limit else ", ".join(choices)
        default = next((name for name, kind in choices.items() if kind in (p.default, type(p.default))), None)
        if default is None and p.default is not p.empty:
            default = format_setting(p.default).strip('"')
        yield SettingDoc(p.name, text, default, True)
