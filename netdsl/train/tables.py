"""What settings of `train { }` may name besides optimisers and schedules; each is imported when it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.lazy import Table

if TYPE_CHECKING:
    from netdsl.train.average import Average
    from netdsl.train.constraints import Constraint
    from netdsl.train.group import Group
    from netdsl.train.transfer.stages import Stage
    from netdsl.train.transfer.stop import Patience

OURS, TORCH = "netdsl", "pytorch"

AVERAGES: Table[type[Average]] = Table(
    {"ema": "netdsl.train.average:Ema", "swa": "netdsl.train.average:Swa"},
)
CONSTRAINTS: Table[type[Constraint]] = Table(
    {
        "max_norm": "netdsl.train.constraints:MaxNorm",
        "unit_norm": "netdsl.train.constraints:UnitNorm",
        "non_neg": "netdsl.train.constraints:NonNeg",
    }
)
GROUPS: Table[type[Group]] = Table({"group": "netdsl.train.group:Group"})
STAGES: Table[type[Stage]] = Table({"stage": "netdsl.train.transfer.stages:Stage"})
STOPS: Table[type[Patience]] = Table({"patience": "netdsl.train.transfer.stop:Patience"})
STARTS: Table[Any] = Table({"load": "netdsl.train.transfer.start:Load", OURS: OURS, TORCH: TORCH})
"""Ways to start, and the layouts that one may name."""
