"""From a schedule to steps: each call is handed to the planner of its primitive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.cpu.step import Step
from netdsl.ir import Node
from netdsl.schedule import Schedule


@dataclass(frozen=True)
class LoweredCall:
    """The steps of a call with the numbers of its buffers, and the scratch bytes that they share."""

    node: Node
    operands: tuple[int, ...]
    results: tuple[int, ...]
    steps: tuple[Step, ...]
    scratch: int


@dataclass(frozen=True)
class Lowered:
    """The calls of both phases of a program."""

    prepare: Sequence[LoweredCall]
    run: Sequence[LoweredCall]


def lower(schedule: Schedule) -> Lowered:
    """Plan every call of a schedule."""
    raise NotImplementedError
