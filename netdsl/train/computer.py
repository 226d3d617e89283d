"""The device of a training, in the precision that its file asks for."""

from __future__ import annotations

from typing import Any

from netdsl.backend.registry import Device, find_target
from netdsl.backend.target import Target
from netdsl.elaborate import Network
from netdsl.source import placed
from netdsl.train.settings import TrainSettings


def computer(
    network: Network, settings: TrainSettings, device: Device, threads: int | None = None
) -> Target[Any]:
    """The target of a device; raises NetError where there is no such one, and where it lacks the precision."""
    target = find_target(device, threads=threads)
    if settings.precision is None:
        return target
    with placed(network.train["precision"].span):
        return find_target(target, precision=settings.precision)
