"""Learning-rate schedules by name."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.train.schedules.base import Clock, RateSchedule
from netdsl.train.schedules.cycles import Cosine, CosineRestarts, Cyclical, OneCycle
from netdsl.train.schedules.decay import (
    ConstantRate,
    Exponential,
    InverseTime,
    Plateau,
    Polynomial,
    StepDecay,
    waits,
)
from netdsl.train.schedules.pieces import Pieces

SCHEDULES: Mapping[str, type[RateSchedule]] = {
    "constant": ConstantRate,
    "step": StepDecay,
    "exponential": Exponential,
    "inverse_time": InverseTime,
    "polynomial": Polynomial,
    "plateau": Plateau,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "one_cycle": OneCycle,
    "cyclical": Cyclical,
}

__all__ = [
    "SCHEDULES",
    "Clock",
    "ConstantRate",
    "Cosine",
    "CosineRestarts",
    "Cyclical",
    "Exponential",
    "InverseTime",
    "OneCycle",
    "Pieces",
    "Plateau",
    "Polynomial",
    "RateSchedule",
    "StepDecay",
    "waits",
]
