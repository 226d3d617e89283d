"""Optimisers by name; one family a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import Table, lazy

if TYPE_CHECKING:
    from netdsl.train.optimizers.adam import Adam as Adam
    from netdsl.train.optimizers.adam import Adamax as Adamax
    from netdsl.train.optimizers.adam import AdamW as AdamW
    from netdsl.train.optimizers.adam import Lamb as Lamb
    from netdsl.train.optimizers.adam import NAdam as NAdam
    from netdsl.train.optimizers.adaptive import Adadelta as Adadelta
    from netdsl.train.optimizers.adaptive import Adagrad as Adagrad
    from netdsl.train.optimizers.adaptive import RmsProp as RmsProp
    from netdsl.train.optimizers.base import Optimizer as Optimizer
    from netdsl.train.optimizers.base import Terms as Terms
    from netdsl.train.optimizers.base import Weight as Weight
    from netdsl.train.optimizers.momentum import Lars as Lars
    from netdsl.train.optimizers.momentum import Lion as Lion
    from netdsl.train.optimizers.momentum import Sgd as Sgd
    from netdsl.train.optimizers.muon import Muon as Muon

OPTIMIZERS: Table[type[Optimizer]] = Table(
    {
        "sgd": "netdsl.train.optimizers.momentum:Sgd",
        "rmsprop": "netdsl.train.optimizers.adaptive:RmsProp",
        "adam": "netdsl.train.optimizers.adam:Adam",
        "adamw": "netdsl.train.optimizers.adam:AdamW",
        "adagrad": "netdsl.train.optimizers.adaptive:Adagrad",
        "adadelta": "netdsl.train.optimizers.adaptive:Adadelta",
        "adamax": "netdsl.train.optimizers.adam:Adamax",
        "nadam": "netdsl.train.optimizers.adam:NAdam",
        "lamb": "netdsl.train.optimizers.adam:Lamb",
        "lars": "netdsl.train.optimizers.momentum:Lars",
        "lion": "netdsl.train.optimizers.momentum:Lion",
        "muon": "netdsl.train.optimizers.muon:Muon",
    }
)

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
