"""The CPU: this machine's processors, one program at a time on a team of threads."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from netdsl.backend.ceilings import Ceilings
from netdsl.backend.lower import Lowered, LoweredCall
from netdsl.backend.memory import HostMemory
from netdsl.backend.step import PACKED, SCRATCH, Plan
from netdsl.backend.target import Executable, Kernels, Listing, Spot, Target, Times
from netdsl.compat import override
from netdsl.cpu import planners, views
from netdsl.cpu.ceilings import ceilings
from netdsl.cpu.clock import Clock
from netdsl.cpu.codegen.library import CACHE
from netdsl.cpu.contract.problem import Options
from netdsl.cpu.link import Linked, link
from netdsl.cpu.step import Step
from netdsl.cpu.tasks import Room, tasks
from netdsl.cpu.threads.phases import Phases, Task
from netdsl.cpu.threads.team import Team, shared_team
from netdsl.cpu.verify import verify
from netdsl.ir import Node, Op
from netdsl.machine import machine_memory
from netdsl.native import host
from netdsl.passes.limits import Limits
from netdsl.schedule import Side, View


@dataclass(frozen=True)
class CpuTarget(Target[Step]):
    """This machine's processors; plans are made for `threads` threads.

    None is NETDSL_THREADS, else the processors of this process.  Any number gives the same bits.  With `exact`,
    convolutions are plain sums of products: no Winograd, which is faster and rounds more.

    Errors: HostError for a number of threads that is not from 1 to 1024.
    """

    name: ClassVar[str] = "cpu"
    # Past these a kernel runs out of registers, for values and for the pointers and strides of its tensors.
    # The gradient of a kernel is summed in parts, which leaves no moment to add an epilogue.
    limits: ClassVar[Limits] = Limits(160, 12, ("forward", "backward_data"))

    threads: int | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.exact, bool):
            raise TypeError(f"exact is True or False, not {self.exact!r}")
        object.__setattr__(self, "threads", host.threads(self.threads))

    def plan(self, op: Op, operands: Sequence[View], results: Sequence[View], fixed: bool) -> Plan[Step]:
        """The steps of a primitive; LookupError for one, or a case of one, without a kernel."""
        return planners.plan(op, operands, results, Options(self._count, self.exact, fixed))

    @override
    def accepts(self, node: Node, side: Side, index: int, view: View) -> bool:
        return views.accepts(node, side, index, view)

    def capacity(self) -> int:
        """Bytes of memory of this machine."""
        return machine_memory()

    def allocate(self, size: int) -> HostMemory:
        """Zeroed memory that starts on a cache line."""
        return HostMemory(size)

    def link(self, lowered: Lowered[Step], where: Mapping[int, Spot], scratch: Sequence[Spot]) -> Executable:
        """Machine code for all steps.

        Raises PlanError, before anything can run, for a plan that leaves its buffers; HostError where the system
        gives fewer threads.
        """
        verify(lowered)
        shared_team(self._count)  # its errors belong here, not into the first run
        known = {b: (_start(spot), lowered.buffers[b].type.nbytes) for b, spot in where.items()}
        found: list[Task] = []
        for call, spot in zip(lowered.calls, scratch, strict=True):
            room = functools.partial(_room, call, known, _start(spot))
            for step in call.steps:
                step.args.bind(functools.partial(_begin, room))
            found += tasks(call, room)
        prepared = sum(len(call.steps) for call in lowered.prepare)
        steps = [step for call in lowered.calls for step in call.steps]
        return _Executable(self._count, link(steps), found, prepared)

    @override
    def ceilings(self) -> Ceilings:
        return ceilings(self._count)

    def facts(self) -> dict[str, Any]:
        """The processor, its vectors and threads, and the folder of compiled kernels."""
        return {
            "processor": host.cpu_name(),
            "vector_lanes": f"{host.lanes()} x float32",
            "threads": self.threads,
            "threading_layer": "own threads, spinning before they park",
            "processors": os.cpu_count() or 1,
            **_kernel_cache(),
        }

    @property
    def _count(self) -> int:
        assert self.threads is not None
        return self.threads


class _Executable(Executable):
    """The steps of both phases, as a team runs them."""

    def __init__(self, threads: int, linked: Linked, found: Sequence[Task], prepared: int) -> None:
        self._threads, self._library = threads, linked.kernels
        self._prepare = Phases(linked.table[:prepared], found[:prepared], threads)
        self.phases = Phases(linked.table[prepared:], found[prepared:], threads)
        self.count = len(self.phases.rows)
        if linked.kernels is not None:
            self.kernels = Kernels(len(linked.kernels.kernels), linked.kernels.cached)

    @property
    def _team(self) -> Team:
        """Asked for at each run: a forked child has a team of its own."""
        return shared_team(self._threads)

    def prepare(self) -> None:
        """Compute what depends on weights alone."""
        self._team.run(self._prepare)

    def run(self) -> None:
        """Run all steps once."""
        self._team.run(self.phases)

    def run_step(self, number: int) -> None:
        """Run one step."""
        self._team.run(self.phases.only(number))

    @override
    def timeline(self, repeats: int) -> list[Times]:
        return Clock(self.phases).runs(self._team, repeats)

    def listing(self, form: Listing) -> str:
        """LLVM IR or assembly of the generated kernels."""
        if self._library is None:
            return ""
        return self._library.llvm_ir() if form == "ir" else self._library.assembly()


def _start(spot: Spot) -> int:
    return cast("HostMemory", spot.memory).address + spot.offset


def _begin(room: Room, buffer: int) -> int:
    return room(buffer)[0]


def _room(
    call: LoweredCall[Step], known: Mapping[int, tuple[int, int]], scratch: int, buffer: int
) -> tuple[int, int]:
    """Where a buffer of a call lies, and its bytes."""
    if buffer == SCRATCH:
        return scratch, call.scratch
    return known[call.packed if buffer == PACKED and call.packed is not None else buffer]


def _kernel_cache() -> dict[str, Any]:
    try:
        folder = CACHE.directory()
        return {"kernel_cache": str(folder), "cache_entries": sum(1 for p in folder.iterdir() if p.is_file())}
    except OSError as error:
        return {"kernel_cache": f"none: {error.strerror or error}", "cache_entries": 0}


TARGET = CpuTarget
