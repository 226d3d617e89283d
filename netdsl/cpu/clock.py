"""When each step of a run begins and ends: the clock is read between the steps, by a step of its own.

The steps run as ever, one behind the other and with all threads, so that caches hold what they hold in any run.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from netdsl.backend.arguments import Address, Arguments, Block
from netdsl.backend.target import Times
from netdsl.cpu.codegen.library import Kernel, KernelLibrary, once
from netdsl.cpu.link import link
from netdsl.cpu.step import Code, Step
from netdsl.cpu.threads.phases import EVERYTHING, Phases, Task
from netdsl.cpu.threads.team import Team
from netdsl.cpu.threads.team_drivers import ROW_WORDS
from netdsl.native.emit import I8, I32, Emitter

_WINDOWS = sys.platform == "win32"


class Stamp(Block):
    """The clock is written to two words `at`: seconds and nanoseconds, on Windows ticks and nothing."""

    at: Address


class Clock:
    """The steps of a program with a reading of the clock before each and behind the last.

    The first step of all is a reading too: how long one takes is left out of the times.
    """

    def __init__(self, program: Phases) -> None:
        count = len(program.rows)
        self._words = np.zeros((count + 2, 2), np.int64)
        self._steps = [
            Step("clock", Code(_library, "clock"), Arguments(Stamp, at=row)) for row in self._words
        ]
        readings = link(self._steps).table
        rows = np.empty((len(readings) + count, ROW_WORDS), np.int64)
        rows[0], rows[1::2], rows[2::2] = readings[0], readings[1:], program.rows
        # A reading waits for all steps before it, and those behind it wait for the reading.
        reading = Task(0.0, 1, [EVERYTHING])
        pairs = [(task, reading) for task in program.tasks]
        tasks = [reading, reading, *itertools.chain.from_iterable(pairs)]
        self._program, self._keep = Phases(rows, tasks, program.threads), (program, readings)

    def runs(self, team: Team, repeats: int) -> list[Times]:
        """Start and end of each step in seconds, for each of so many runs."""
        found = [self._run(team) for _ in range(repeats)]
        reading = statistics.median(times[1] - times[0] for times in found)
        return [_pairs(times[1:], reading) for times in found]

    def _run(self, team: Team) -> list[float]:
        team.run(self._program)
        if _WINDOWS:
            return [
                float(ticks) * time.get_clock_info("perf_counter").resolution for ticks in self._words[:, 0]
            ]
        seconds = self._words[:, 0] - self._words[0, 0]
        return (seconds + self._words[:, 1] * 1e-9).tolist()  # type: ignore[no-any-return]


def _pairs(times: Sequence[float], reading: float) -> Times:
    return [(a, max(a, b - reading)) for a, b in itertools.pairwise(times)]


@once
def _library() -> KernelLibrary:
    return KernelLibrary("clock", {"clock": Kernel(_read)})


def _read(e: Emitter) -> None:
    """The first thread reads the clock."""
    block, part, *_ = e.args
    with e.when(e.b.icmp_signed("==", part, e.i64(0))):
        at = e.pointer(I8, e.fields(block, Stamp).at)
        if _WINDOWS:
            _call(e, "QueryPerformanceCounter", at)
        else:
            _call(e, "clock_gettime", ir.Constant(I32, time.CLOCK_MONOTONIC), at)


def _call(e: Emitter, name: str, *arguments: ir.Value) -> None:
    """A function of the system that gives an int."""
    kind = ir.FunctionType(I32, [a.type for a in arguments])
    e.b.call(e.b.module.globals.get(name) or ir.Function(e.b.module, kind, name), list(arguments))
