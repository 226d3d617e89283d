"""Learning-rate schedules by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import Table, lazy

if TYPE_CHECKING:
    from netdsl.train.schedules.base import Clock as Clock
    from netdsl.train.schedules.base import RateSchedule as RateSchedule
    from netdsl.train.schedules.cycles import Cosine as Cosine
    from netdsl.train.schedules.cycles import CosineRestarts as CosineRestarts
    from netdsl.train.schedules.cycles import Cyclical as Cyclical
    from netdsl.train.schedules.cycles import OneCycle as OneCycle
    from netdsl.train.schedules.decay import ConstantRate as ConstantRate
    from netdsl.train.schedules.decay import Exponential as Exponential
    from netdsl.train.schedules.decay import InverseTime as InverseTime
    from netdsl.train.schedules.decay import Plateau as Plateau
    from netdsl.train.schedules.decay import Polynomial as Polynomial
    from netdsl.train.schedules.decay import StepDecay as StepDecay
    from netdsl.train.schedules.decay import waits as waits
    from netdsl.train.schedules.pieces import Pieces as Pieces

SCHEDULES: Table[type[RateSchedule]] = Table(
    {
        "constant": "netdsl.train.schedules.decay:ConstantRate",
        "step": "netdsl.train.schedules.decay:StepDecay",
        "exponential": "netdsl.train.schedules.decay:Exponential",
        "inverse_time": "netdsl.train.schedules.decay:InverseTime",
        "polynomial": "netdsl.train.schedules.decay:Polynomial",
        "plateau": "netdsl.train.schedules.decay:Plateau",
        "cosine": "netdsl.train.schedules.cycles:Cosine",
        "cosine_restarts": "netdsl.train.schedules.cycles:CosineRestarts",
        "one_cycle": "netdsl.train.schedules.cycles:OneCycle",
        "cyclical": "netdsl.train.schedules.cycles:Cyclical",
    }
)

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
