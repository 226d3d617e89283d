"""Steps that a team runs one after the other, to be timed without a network around them."""

from __future__ import annotations

from netdsl.cpu.link import link
from netdsl.cpu.threads.phases import EVERYTHING, Phases, Task

#: Long enough that every step is worth all threads.
NANOSECONDS = 1e6


def in_turn(steps, threads):
    """The steps as a program in which each waits for the one before."""
    return Phases(link(steps).table, [Task(NANOSECONDS, s.units, [EVERYTHING]) for s in steps], threads)
