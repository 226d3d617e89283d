"""Optimisers by name; one family a file."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.train.optimizers.adam import Adam, Adamax, AdamW, Lamb, NAdam
from netdsl.train.optimizers.adaptive import Adadelta, Adagrad, RmsProp
from netdsl.train.optimizers.base import Optimizer, Terms, Weight
from netdsl.train.optimizers.momentum import Lars, Lion, Sgd
from netdsl.train.optimizers.muon import Muon

OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    "sgd": Sgd,
    "rmsprop": RmsProp,
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adamax": Adamax,
    "nadam": NAdam,
    "lamb": Lamb,
    "lars": Lars,
    "lion": Lion,
    "muon": Muon,
}

__all__ = [
    "OPTIMIZERS",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lamb",
    "Lars",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RmsProp",
    "Sgd",
    "Terms",
    "Weight",
]
