"""Data races: two agents touch the same bytes, one of them writes, and no barrier lies between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from netdsl.cuda.emulator.memory import Array, Space
from netdsl.cuda.emulator.operands import Instruction

ATOMIC: Final = 1 << 62
"""The agent of atomic accesses: they race with plain ones, not with each other."""
SEVERAL: Final = 1 << 61
PHASE: Final = 40
"""The bits of an agent from which its warp's count of warp barriers begins."""

Report = Callable[[Instruction, str, int, int, Instruction, int], None]
"""Raises the fault: instruction, what, agent, the other agent, the other's instruction, byte."""


class RaceLog:
    """The accesses between two barriers, checked when the later barrier is reached.

    An agent is a lane (shared memory: its number from 1, and from bit 40 on how many warp barriers its warp has
    passed) or a block (global memory: its number from 1, for a whole launch).  A granule is the narrowest access.
    """

    def __init__(self, space: Space, granule: int, report: Report, warps: Array | None = None) -> None:
        self.space, self.granule, self.report, self.warps = space, granule, report, warps
        size = space.data.size // granule + 16
        self._shift = granule.bit_length() - 1
        self._writer = np.zeros(size, np.int64)
        self._entry = np.zeros(size, np.int32)
        self._word = space.view(np.dtype(f"u{granule}"))
        self.ordered = False
        self._events: list[tuple[Instruction, Array, int, Array, Array | None]] = []

    def read(self, instruction: Instruction, offset: Array, width: int, agent: Array) -> None:
        """Note that agents read `width` bytes at offsets."""
        self._events.append((instruction, offset, width, agent, None))

    def write(self, instruction: Instruction, offset: Array, width: int, agent: Array) -> None:
        """Note that agents have written `width` bytes at offsets."""
        granules, agents = self._granules(offset, width, agent)
        self._events.append((instruction, granules, 0, agents, self._word[granules]))

    def _granules(self, offset: Array, width: int, agent: Array) -> tuple[Array, Array]:
        granules, count = offset >> self._shift, width >> self._shift
        if count <= 1:
            return granules, agent
        return (granules[:, None] + np.arange(count)).ravel(), np.repeat(agent, count)

    def finish(self) -> None:
        """Check what was noted since the last barrier, and forget it.

        Each read is compared with the last write; where warps have passed barriers of their own (`ordered`), with the
        write before it and the one after it.
        """
        if any(words is not None for *_, words in self._events):
            if self.ordered:
                self._compare(self._events)
                self._compare(self._events[::-1])
            else:
                self._compare(sorted(self._events, key=lambda event: event[-1] is None))
        self._events.clear()

    def _compare(self, events: Sequence[tuple[Instruction, Array, int, Array, Array | None]]) -> None:
        written = np.zeros_like(self._word, shape=self._writer.size)
        for index, (instruction, granules, width, agents, words) in enumerate(events):
            if words is None:
                granules, agents = self._granules(granules, width, agents)
            before = self._writer[granules]
            clash = self._differ(before, agents)
            what = "read and write" if words is None else "write after write"
            wrong = clash if words is None else clash & (written[granules] != words)
            if wrong.any():
                k = int(wrong.argmax())
                other, byte = events[int(self._entry[granules[k]])][0], int(granules[k]) << self._shift
                self.report(instruction, what, int(agents[k]), int(before[k]), other, byte)
            if words is not None:
                self._writer[granules] = np.where(clash, SEVERAL, agents)
                written[granules], self._entry[granules] = words, index
        for _, granules, _, _, words in events:
            if words is not None:
                self._writer[granules] = 0

    def _differ(self, before: Array, agents: Array) -> Array:
        other = (before != 0) & (before != agents)
        if self.warps is None or not other.any():
            return other
        mask = (1 << PHASE) - 1
        plain = other & (before < SEVERAL) & (np.asarray(agents) < SEVERAL)
        lanes = [np.where(plain, x & mask, 1) - 1 for x in (before, agents)]
        same_warp = self.warps[lanes[0]] == self.warps[lanes[1]]
        return other & ~(plain & same_warp & (before >> PHASE != agents >> PHASE))


class BlockRaces:
    """Races between blocks in global memory over a whole launch, checked at every access.

    Two tables hold the last writer and the reader (-2: several) of every granule; those that are written lie between
    two numbers.
    """

    def __init__(self, size: int, granule: int, report: Report) -> None:
        self.report, self._shift = report, granule.bit_length() - 1
        size = size // granule + 16
        self._writer, self._reader = np.zeros(size, np.int32), np.zeros(size, np.int32)
        self._site = np.zeros(size, np.int32)
        self._low, self._high = size, 0
        self._sites: list[Instruction] = []
        self._numbers: dict[int, int] = {}

    def _granules(self, offset: Array, width: int, agent: Array) -> tuple[Array, Array]:
        granules, count = offset >> self._shift, width >> self._shift
        if count <= 1:
            return granules, agent
        return (granules[:, None] + np.arange(count)).ravel(), np.repeat(agent, count)

    def read(self, instruction: Instruction, offset: Array, width: int, agent: Array) -> None:
        """Blocks read `width` bytes at offsets."""
        granules, agents = self._granules(offset, width, agent)
        if self._low < self._high and granules.min() < self._high and granules.max() >= self._low:
            self._check(self._writer, "read and write", instruction, granules, agents)
        self._note(self._reader, granules, agents)

    def write(self, instruction: Instruction, offset: Array, width: int, agent: Array) -> None:
        """Blocks have written `width` bytes at offsets; -1 for atomic accesses."""
        granules, agents = self._granules(offset, width, agent)
        self._check(self._writer, "write after write", instruction, granules, agents)
        self._check(self._reader, "read and write", instruction, granules, agents)
        self._writer[granules] = agents
        self._low, self._high = min(self._low, int(granules.min())), max(self._high, int(granules.max()) + 1)
        number = self._numbers.setdefault(id(instruction), len(self._sites))
        if number == len(self._sites):
            self._sites.append(instruction)
        self._site[granules] = number
        self._check(self._writer, "write after write", instruction, granules, agents)

    def _note(self, table: Array, granules: Array, agents: Array) -> None:
        before = table.take(granules)
        new = (before != agents) & (before != -2)
        if new.any():
            granules, agents = granules[new], agents[new]
            table[granules] = np.where(before[new] == 0, agents, -2)
            table[granules[table[granules] != agents]] = -2

    def _check(
        self, table: Array, what: str, instruction: Instruction, granules: Array, agents: Array
    ) -> None:
        before = table[granules]
        bad = (before != 0) & (before != agents)
        if bad.any():
            k = int(bad.argmax())
            g = int(granules[k])
            other = instruction if table is self._reader else self._sites[int(self._site[g])]
            self.report(instruction, what, int(agents[k]), int(before[k]), other, g << self._shift)
