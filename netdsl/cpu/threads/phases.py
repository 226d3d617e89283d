"""How a team divides a program: phases of steps that do not wait for each other, and the shares of these.

A step joins the phase of the steps before it where it writes nothing that they touch and reads nothing that they
write: the branches of an inception block, the two gradients of a convolution, the updates of all weights.  The bits
do not depend on any of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.step import SCRATCH, start_of
from netdsl.cpu.threads.team_drivers import PHASE_WORDS
from netdsl.schedule import View

#: Nanoseconds of work below which a phase is not worth a second thread, and of a share.
WORTH, SHARE = 1_500.0, 4_000.0
#: Shares of a thread at most: one that the system puts aside then holds up one in so many.
EACH = 32
#: Steps of a phase at most, as each is compared with all before it.
MOST_STEPS = 32


@dataclass(frozen=True, slots=True)
class Touch:
    """Bytes from address `start` to `end`, those of a view where it is one of a buffer with that number."""

    start: int
    end: int
    written: bool
    view: View

    def meets(self, other: Touch) -> bool:
        """Whether the order of the two matters."""
        if not (self.written or other.written) or self.end <= other.start or other.end <= self.start:
            return False
        inside = self.view.buffer >= 0 and self.view.buffer == other.view.buffer
        return not inside or self.view.overlaps(other.view)


#: What a step touches that no other may run beside.
EVERYTHING = Touch(0, 2**63 - 1, True, start_of(SCRATCH))


@dataclass(frozen=True, slots=True)
class Task:
    """What a team must know of a step: about how long one thread takes, into how many it can be cut (see `Step`),
    and what it touches."""

    nanoseconds: float
    units: int | None
    touches: Sequence[Touch]

    def waits_for(self, other: Task) -> bool:
        """Whether it must run behind another step that is before it."""
        return any(a.meets(b) for a in self.touches for b in other.touches)


class Phases:
    """A program for a team of so many threads: `rows` of steps (see `ROW_WORDS`), and the `table` of their phases.

    `rows` come with the code and the argument block of each step; the other words are filled in.
    """

    def __init__(self, rows: NDArray[np.int64], tasks: Sequence[Task], threads: int) -> None:
        self.rows, self.tasks, self.threads = rows, tasks, threads
        found, first = [], 0
        for phase in _phases(tasks):
            shares, total = _shares(phase, threads)
            rows[first : first + len(phase), 2:] = shares
            found.append((first, first + len(phase), total))
            first += len(phase)
        self.table = np.array(found, np.int64).reshape(-1, PHASE_WORDS)

    def only(self, number: int) -> Phases:
        """One step alone."""
        return Phases(self.rows[number : number + 1].copy(), self.tasks[number : number + 1], self.threads)


def _phases(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    phase: list[Task] = []
    for task in tasks:
        if phase and (len(phase) == MOST_STEPS or any(task.waits_for(other) for other in phase)):
            yield phase
            phase = []
        phase.append(task)
    if phase:
        yield phase


def _shares(phase: Sequence[Task], threads: int) -> tuple[list[tuple[int, int]], int]:
    """The first share of each step and how many it has, and those of the phase; small steps have one together."""
    total = sum(task.nanoseconds for task in phase)
    if threads == 1 or total < WORTH:
        return [(0, 1)] * len(phase), 1
    each = max(min(SHARE, total / 2), total / (EACH * threads))
    found, end, room = [], 0, 0.0
    for task in phase:
        if task.nanoseconds <= room:
            room -= task.nanoseconds
            found.append((end - 1, 1))
            continue
        wanted = max(1, int(task.nanoseconds / each))
        parts = wanted if task.units is None else max(1, min(wanted, task.units))
        found.append((end, parts))
        end += parts
        room = each - task.nanoseconds if parts == 1 else 0.0
    return found, end
