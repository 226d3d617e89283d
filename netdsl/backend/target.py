"""A target: what a device must offer, so that everything else runs on it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal

from netdsl.backend.ceilings import Ceilings
from netdsl.backend.lower import Lowered
from netdsl.backend.memory import Array, Memory, Send, Tensor
from netdsl.backend.step import Plan, S
from netdsl.ir import Node, Op
from netdsl.passes.limits import Limits
from netdsl.primitives.precision import PRECISIONS, Precision, wrong_precision
from netdsl.schedule import Side, View, takes_dense
from netdsl.schedule.memory_plan import ALIGNMENT
from netdsl.source import Diagnostic, NetError

Listing = Literal["ir", "asm"]
Times = list[tuple[float, float]]
"""Start and end of each step of a run, in seconds."""


@dataclass(frozen=True)
class Spot:
    """A byte of the device's memory."""

    memory: Memory
    offset: int = 0


@dataclass(frozen=True)
class Room:
    """Bytes of memory of a device, in all and free, and whose they are, in words."""

    total: int
    free: int
    where: str = "this machine"


@dataclass(frozen=True)
class Kernels:
    """How many kernels were made for a program, and whether all of them were in the cache."""

    count: int = 0
    cached: bool = True


class Executable(ABC):
    """The steps of a program with their code and their memory: all that is left to do is to run them."""

    kernels: Kernels = Kernels()
    #: steps of a run
    count: int

    @abstractmethod
    def prepare(self) -> None:
        """Compute what depends on weights alone."""

    @abstractmethod
    def run(self) -> None:
        """Run all steps once; what reads their results waits for them."""

    @abstractmethod
    def run_step(self, number: int) -> None:
        """Run one step, and return when it is done."""

    def timeline(self, repeats: int) -> list[Times]:
        """When each step begins and ends in so many runs, one step at a time."""
        return [[self._timed(number) for number in range(self.count)] for _ in range(repeats)]

    def _timed(self, number: int) -> tuple[float, float]:
        start = time.perf_counter()
        self.run_step(number)
        return start, time.perf_counter()

    def listing(self, form: Listing) -> str:
        """The kernels made for this program, to be read; NetError on a device that makes none."""
        raise NetError(Diagnostic("device", "the device makes no kernels that could be shown"))


@dataclass(frozen=True, kw_only=True)
class Target(ABC, Generic[S]):
    """A device with its options, which are the fields of a frozen dataclass.

    `precision` is what contractions multiply in; each device says which it has, and all have float32.
    `dtypes` is what its kernels compute, `alignment` the bytes on which the buffers of a program start.

    Errors: NetError for a precision that the device does not have.
    """

    name: ClassVar[str]
    dtypes: ClassVar[frozenset[str]] = frozenset({"f32", "i64", "bool"})
    alignment: ClassVar[int] = ALIGNMENT

    precision: Precision = "f32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            text, fix = wrong_precision(str(self.precision))
            raise NetError(Diagnostic("device", text, fix=fix))
        if (reason := self.lacks(self.precision)) is not None:
            fix = "f32 is on every device, tf32 and bf16 on GPUs from 2020 on: --precision f32, or --device cuda"
            raise NetError(Diagnostic("device", reason, fix=fix))

    def lacks(self, precision: Precision) -> str | None:
        """Why the device does not multiply in a precision, or None."""
        if precision == "f32":
            return None
        return f"the device {self.name} multiplies in f32, not in {precision}"

    @property
    def place(self) -> str:
        """Which device it is, as it is named where one is chosen: programs of one place may share memory."""
        return self.name

    @property
    def label(self) -> str:
        """`place` and what is there, for people."""
        return self.place

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """What passes may fuse for it, and on which GPUs they may put nodes."""

    def on(self, gpu: int | None) -> Target[S]:
        """The GPU of a number, on which passes have put nodes, with the same options; None is the device itself."""
        if gpu is None:
            return self
        raise LookupError(f"the device {self.name} has no GPU {gpu}")

    @abstractmethod
    def plan(self, op: Op, operands: Sequence[View], results: Sequence[View], fixed: bool) -> Plan[S]:
        """The steps of a primitive between views; LookupError for one, or a case of one, without a kernel.

        `fixed` says that operand 1 stays as it is from run to run, so that it is packed once.
        """

    def accepts(self, node: Node, side: Side, index: int, view: View) -> bool:
        """Whether its kernel for a node takes a view as operand, or as result, of that number, and gains by it."""
        return takes_dense(node, side, index, view)

    @abstractmethod
    def capacity(self) -> int:
        """Bytes of memory of the device."""

    def room(self) -> Room:
        """How much memory a program can have now; all of it where nobody tells what others use."""
        return Room(self.capacity(), self.capacity())

    def taken(self, sizes: Sequence[int]) -> int:
        """Bytes of its free memory that allocations of these sizes take, as the device rounds them."""
        return sum(sizes)

    @abstractmethod
    def allocate(self, size: int) -> Memory:
        """Zeroed memory that starts on a multiple of `alignment`; OutOfMemory where there is none."""

    @abstractmethod
    def link(self, lowered: Lowered[S], where: Mapping[int, Spot], scratch: Sequence[Spot]) -> Executable:
        """Code for all steps.

        `where` says where each buffer lies, `scratch` where that of each call does, those that prepare first.
        Raises NetError where the device does not give what its options ask for.
        """

    def sender(self) -> Send:
        """What copies batches to the device ahead, for the thread that prepares them; by default none is."""
        return lambda _: {}

    def reader(self, results: Mapping[str, Tensor]) -> Callable[[], dict[str, Array]]:
        """What reads the results of a run, as new arrays, when it is done."""
        return lambda: {name: tensor.copy_out() for name, tensor in results.items()}

    def ceilings(self) -> Ceilings | None:
        """The most that it computes and moves in a second, measured now; None where it is not measured."""
        return None

    def facts(self) -> dict[str, Any]:
        """What `netdsl doctor` says of the device, by name."""
        return {}
