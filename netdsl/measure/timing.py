"""Timing programs against each other in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: a turn has so many runs, or lasts so many seconds; the first of it do not count
TURN_RUNS, TURN_SECONDS = 8, 0.2
SETTLE_RUNS, SETTLE_SECONDS = 2, 0.05


@dataclass(frozen=True)
class Timing:
    """The seconds of runs."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """That of all runs."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The 95th percentile: one run of twenty takes longer."""
        if len(self.seconds) == 1:
            return self.seconds[0]
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[-1]


def alternate(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """The times of each in turns of 8 runs or 0.2 s, of which the first 2 runs or 0.05 s do not count.

    Turns rather than single runs: the idle threads of one contender spin for a while after its run and would
    be measured with the other.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name] += _turn(run)
    return {name: Timing(tuple(seconds)) for name, seconds in times.items()}


def _turn(run: Callable[[], object]) -> list[float]:
    began, runs, times = time.perf_counter(), 0, list[float]()
    while runs < TURN_RUNS or time.perf_counter() < began + TURN_SECONDS:
        start = time.perf_counter()
        run()
        end = time.perf_counter()
        runs += 1
        if runs > SETTLE_RUNS and start >= began + SETTLE_SECONDS:
            times.append(end - start)
    return times
