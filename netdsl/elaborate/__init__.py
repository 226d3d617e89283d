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
from netdsl.elaborate.sections import SectionSetting
from netdsl.elaborate.values import CallValue, shown

__all__ = [
    "CallValue",
    "Claim",
    "Network",
    "SectionSetting",
    "elaborate",
    "elaborate_all",
    "elaborate_each",
    "elaborate_partial",
    "need_network",
    "shown",
]
