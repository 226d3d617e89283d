"""All threads of some blocks of a grid, in lock step: a lane each, their registers, and which of them are where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np

from netdsl.cuda.emulator.errors import BarrierDivergence, DataRace, Endless, Index, KernelFault
from netdsl.cuda.emulator.memory import FRESH, POISON, Array, DeviceMemory, Space
from netdsl.cuda.emulator.operands import Instruction
from netdsl.cuda.emulator.program import EXIT, BasicBlock, Placement
from netdsl.cuda.emulator.races import ATOMIC, PHASE, BlockRaces, RaceLog

WARP: Final = 32


@dataclass
class Statistics:
    """What a launch did."""

    blocks: int = 0
    threads: int = 0
    lane_instructions: int = 0
    bank_conflicts: int = 0
    opcodes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Order:
    """Which blocks a slice has, in which order; `seed` also permutes the warps of each block."""

    grid: Index
    block: Index
    numbers: Array
    seed: int


class Lanes:
    """One slice of a launch: lanes of whole blocks, with what their memory and registers hold."""

    def __init__(
        self,
        kernel: str,
        order: Order,
        placement: Placement,
        memory: DeviceMemory,
        parameters: Space,
        dynamic: int,
        granule: int | None,
        global_races: BlockRaces | None,
        statistics: Statistics,
    ) -> None:
        self.kernel, self.order, self.memory, self.parameters = kernel, order, memory, parameters
        self.threads, self.blocks = int(np.prod(order.block)), len(order.numbers)
        self.count = self.threads * self.blocks
        self.all = np.arange(self.count)
        self.thread = np.tile(self._threads(order.seed), self.blocks)
        self.block_index = self.all // self.threads
        self.block_number = order.numbers[self.block_index]
        self.warp_lane = self.thread & (WARP - 1)
        self.warp_start = self.all - self.warp_lane
        self.special = self._special()
        self.registers: list[Any] = []
        self.statistics, self.count_conflicts, self.check_races = statistics, False, granule is not None
        self._shared(placement, dynamic)
        self.local_stride = -(-placement.local_size // 16) * 16
        self.local = Space(self.local_stride * self.count)
        self.local.data[:] = POISON
        own = self.local.state[: self.local_stride * self.count].reshape(self.count, -1)
        for variable, start in placement.local.items():
            own[:, start : start + (variable.size or 0)] = FRESH
        self.races = None
        if granule:
            self.races = RaceLog(self.shared, granule, self.report_shared, self.warp_start)
        self.global_races = global_races
        self.agents = self.all + 1
        self.block_agents = (self.block_number + 1).astype(np.int32)
        self.copies: list[tuple[Instruction, Array, Array, Array, Array]] = []
        self.committed = np.zeros(self.count, np.int64)
        self.kept: dict[Any, Any] = {}

    def _threads(self, seed: int) -> Array:
        """The threads of a block, warp by warp; a warp that is not full stays the last."""
        full = self.threads // WARP
        warps = np.random.default_rng(seed).permutation(full) if seed else np.arange(full)
        first = (warps[:, None] * WARP + np.arange(WARP)).ravel()
        return np.concatenate([first, np.arange(full * WARP, self.threads)])

    def _special(self) -> dict[str, Array]:
        found: dict[str, Array] = {}
        thread, block = self.thread, self.block_number
        for axis, name in enumerate("xyz"):
            wide, grid = self.order.block[axis], self.order.grid[axis]
            found[f"tid.{name}"] = (thread % wide).astype(np.uint32) if wide > 1 else np.uint32(0)
            values = (block % grid).astype(np.uint32)
            found[f"ctaid.{name}"] = values if grid > 1 and self.blocks > 1 else values[0]
            found[f"ntid.{name}"], found[f"nctaid.{name}"] = np.uint32(wide), np.uint32(grid)
            thread, block = thread // wide, block // grid
        found["laneid"] = self.warp_lane.astype(np.uint32)
        found["warpid"] = (self.thread // WARP).astype(np.uint32)
        return found

    def _shared(self, placement: Placement, dynamic: int) -> None:
        end = placement.dynamic_start + dynamic
        self.shared_stride = -(-end // 128) * 128 + 128
        self.shared = Space(self.shared_stride * self.blocks)
        self.shared.data[:] = POISON
        layout = np.zeros(self.shared_stride, np.uint8)
        for variable, start in placement.shared.items():
            layout[start : start + (variable.size or 0)] = FRESH
        layout[placement.dynamic_start : end] = FRESH
        self.shared.state.reshape(-1)[: self.shared_stride * self.blocks].reshape(self.blocks, -1)[:] = layout
        self.shared_base = self.block_index * self.shared_stride

    def extent(self, space: str) -> tuple[Space, int, int, int]:
        """The memory of a space, its first address, its bytes, and in how many parts, one for each block or lane."""
        if space == "global":
            return self.memory, self.memory.base, self.memory.data.size - 16, 1
        if space == "shared":
            return self.shared, 0, self.shared_stride, self.blocks
        if space == "local":
            return self.local, 0, self.local_stride, self.count
        return self.parameters, 0, self.parameters.data.size - 16, 1

    # -- faults ---------------------------------------------------------------------------------------------

    def place(self, lane: int) -> tuple[Index, Index]:
        """Block and thread of a lane."""
        return _index(int(self.block_number[lane]), self.order.grid), _index(
            int(self.thread[lane]), self.order.block
        )

    def fault(
        self, kind: type[KernelFault], i: Instruction, detail: str, lane: int | None = None
    ) -> NoReturn:
        """Raise a fault of a lane."""
        block, thread = self.place(lane) if lane is not None else (None, None)
        raise kind(detail, self.kernel, i.line, i.text, i.source, block, thread)

    def report_shared(
        self, i: Instruction, what: str, agent: int, other: int, site: Instruction, byte: int
    ) -> None:
        """Raise the race of two lanes in shared memory."""
        lanes = [(a & (1 << PHASE) - 1) - 1 if a < ATOMIC >> 1 else None for a in (agent, other)]
        second = "an atomic or several threads" if lanes[1] is None else f"thread {self.place(lanes[1])[1]}"
        where = f"{what} of shared byte {byte % self.shared_stride:#x} without a barrier between"
        detail = f"{where}; the other is {second} at PTX line {site.line}: {site.text}"
        self.fault(DataRace, i, detail, lanes[0])

    # -- masks ----------------------------------------------------------------------------------------------

    def active(self, mask: Array | None) -> Array:
        """The numbers of the active lanes."""
        return self.all if mask is None else mask.nonzero()[0]

    def full(self, value: Array) -> Array:
        """A value with an element for each lane."""
        return np.broadcast_to(value, (self.count,))

    def everyone(self, mask: Array | None) -> Array:
        """The mask as an array."""
        return np.ones(self.count, bool) if mask is None else mask


def _index(number: int, extent: Index) -> Index:
    return (number % extent[0], number // extent[0] % extent[1], number // extent[0] // extent[1])


class Scheduler:
    """Runs lanes to their end: of all that are somewhere, those in the first basic block, so that they meet again."""

    def __init__(self, lanes: Lanes, blocks: Sequence[BasicBlock], steps: int) -> None:
        self.lanes, self.blocks, self.left = lanes, blocks, steps
        self.runnable: dict[int, Array | None] = {0: None}
        self.waiting: dict[int, Array | None] = {}
        self.seen: set[int] = set()

    def run(self) -> None:
        """Run until all lanes have left."""
        while self.runnable or self.waiting:
            if not self.runnable:
                self._release()
                continue
            number = self._next()
            mask = self.runnable.pop(number)
            self._block(self.blocks[number], mask)
        if self.lanes.races:
            self.lanes.races.finish()

    def _next(self) -> int:
        """The first block; one that begins with an instruction of whole warps waits for lanes that are elsewhere."""
        first = min(self.runnable)
        if len(self.runnable) == 1 or not self.blocks[first].collective:
            return first
        return min((n for n in self.runnable if not self.blocks[n].collective), default=first)

    def _block(self, block: BasicBlock, mask: Array | None) -> None:
        lanes = self.lanes
        self.seen.add(block.number)
        registers = lanes.registers
        before = [registers[slot] for slot in block.merged] if mask is not None else ()
        for step in block.steps:
            step(lanes, mask)
        for slot, old in zip(block.merged, before, strict=False):
            registers[slot] = _merge(mask, registers[slot], old)
        active = lanes.count if mask is None else int(np.count_nonzero(mask))
        lanes.statistics.lane_instructions += active * (len(block.instructions) + (block.end is not None))
        self.left -= 1
        if self.left < 0:
            at = block.end or block.instructions[0]
            lanes.fault(
                Endless, at, "the kernel did not end within its budget of steps", int(lanes.active(mask)[0])
            )
        self._leave(block, mask, active)

    def _leave(self, block: BasicBlock, mask: Array | None, active: int) -> None:
        if block.barrier:
            _add(self.waiting, block.number, mask)
        elif block.condition is None:
            _add(self.runnable, block.targets[0] if block.targets else block.following, mask)
        else:
            slot, negated = block.condition
            condition = self.lanes.registers[slot]
            taken = ~condition if negated else condition
            taken = self.lanes.full(taken) if mask is None else taken & mask
            count = int(np.count_nonzero(taken))
            if count:
                _add(self.runnable, block.targets[0], mask if count == active else taken)
            if count != active:
                rest = (~taken if mask is None else mask & ~taken) if count else mask
                _add(self.runnable, block.following, rest)

    # -- barriers -------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Nobody can go on: check that every block whose threads wait at a barrier has all of them there."""
        for number, mask in self.waiting.items():
            here = self.lanes.everyone(mask)
            arrived = here.reshape(self.lanes.blocks, self.lanes.threads).sum(1)
            if ((arrived != 0) & (arrived != self.lanes.threads)).any():
                self._diverged(self.blocks[number], here, arrived)
        for number, mask in self.waiting.items():
            _add(self.runnable, self.blocks[number].following, mask)
        self.waiting.clear()
        if self.lanes.races:
            self.lanes.races.finish()

    def _diverged(self, block: BasicBlock, here: Array, arrived: Array) -> None:
        """Raise the fault of a barrier that lacks lanes."""
        lanes, threads = self.lanes, self.lanes.threads
        k = int(((arrived != 0) & (arrived != threads)).argmax())
        first, absent = (int(a) + k * threads for a in _ends(here[k * threads : (k + 1) * threads]))
        others = [n for n, m in self.waiting.items() if (m is None or m[absent]) and n != block.number]
        end = self.blocks[others[0]].end if others else None
        where = f"waits at PTX line {end.line}" if end else "has left the kernel"
        detail = f"{int(arrived[k])} threads are at this barrier, which waits for {threads}"
        assert block.end is not None
        lanes.fault(BarrierDivergence, block.end, f"{detail}; thread {lanes.place(absent)[1]} {where}", first)


def _ends(here: Array) -> tuple[int, int]:
    """The first lane that is here, and the first that is not."""
    return int(here.argmax()), int(here.argmin())


def _merge(mask: Array, new: Array, old: Array) -> Array:
    """The new value in the lanes of a mask, the old one elsewhere; `old` may have another type of the same width."""
    if new is old:
        return new
    return np.where(mask, new, old if old.dtype == new.dtype else old.view(new.dtype))


def _add(places: dict[int, Array | None], number: int, mask: Array | None) -> None:
    """Lanes arrive at a block; they join those that wait there."""
    if number == EXIT:
        return
    if number in places:
        other = places[number]
        mask = None if mask is None or other is None else mask | other
        mask = None if mask is None or mask.all() else mask
    places[number] = mask
