"""From the tree to a typed graph: settings are evaluated, blocks expanded, weights named."""

from netdsl.elaborate.claims import Claim
from netdsl.elaborate.network import (
    Network,
    elaborate,
    elaborate_all,
    elaborate_each,
    elaborate_partial,
    need_network,
)
from netdsl.elaborate.sections import Setting
from netdsl.elaborate.values import Call, shown

__all__ = [
    "Call",
    "Claim",
    "Network",
    "Setting",
    "elaborate",
    "elaborate_all",
    "elaborate_each",
    "elaborate_partial",
    "need_network",
    "shown",
]
