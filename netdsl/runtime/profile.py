"""Measure the time of a program, step by step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu.step import Step
from netdsl.cpu.threads.team import Team
from netdsl.ir import Node


@dataclass(frozen=True, slots=True)
class StepTime:
    """Median seconds of a step, its title, the node it computes and the source-level nodes that came from."""

    title: str
    node: str
    origin: tuple[str, ...]
    seconds: float


def measure(
    team: Team, table: NDArray[np.int64], nodes: Sequence[Node], steps: Sequence[Step], repeats: int
) -> list[StepTime]:
    """Run the program `repeats` times, one step at a time, and take the median of each."""
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for k in range(len(steps)):
            start = time.perf_counter()
            team.run(table[k : k + 1])
            times[k].append(time.perf_counter() - start)
    return [
        StepTime(step.title, node.id, node.origin, statistics.median(seconds))
        for step, node, seconds in zip(steps, nodes, times, strict=True)
    ]
