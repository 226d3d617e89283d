"""A card that is emulated: the PTX of kernels on the processor, with every check, for machines without a GPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from netdsl.backend.memory import Array, OutOfMemory
from netdsl.cuda.card import Bound, BoundCopy, BoundLaunch, BoundStep, Card
from netdsl.cuda.compiler import PTX, compile_ptx, is_kept
from netdsl.cuda.emulator import DeviceMemory, Emulator, KernelFault
from netdsl.cuda.emulator import OutOfMemory as NoRoom
from netdsl.cuda.emulator.launch import Kernel
from netdsl.cuda.step import Source
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.schedule import View
from netdsl.source import Diagnostic, NetError

CAPABILITY = (9, 0)
CAPACITY = 8 << 30
"""Bytes; the operating system gives pages when they are written."""
POISON = 255
"""What bytes of the host show that were not copied yet."""
CARDS = 8
"""How many there are."""


class EmulatedCard(Card):
    """Kernels run on NumPy lanes.  What no kernel has written is poisoned, and may not be read.

    `seed` permutes the order of blocks and warps: a right program gives the same bits for any.
    """

    capability = CAPABILITY

    def __init__(self, number: int, capacity: int = CAPACITY, seed: int = 0) -> None:
        if number >= CARDS:
            text = (
                f"there are {CARDS} emulated cards, cuda:0 to cuda:{CARDS - 1}, and none of number {number}"
            )
            raise NetError(Diagnostic("device", text))
        self.seed = seed
        self.launched = 0
        self._memory = DeviceMemory(number, capacity)
        self._emulator = Emulator(self._memory)
        self._kernels: dict[str, Kernel] = {}
        self._lock = threading.RLock()
        self._clock = 0
        self._taken: dict[int, int] = {}
        self._fetched: list[tuple[Array, Array]] = []

    def capacity(self) -> int:
        """Bytes of memory."""
        return int(self._memory.data.size)

    def available(self) -> int:
        """Bytes of memory that are not used."""
        return self.capacity() - self._memory.held

    @property
    def name(self) -> str:
        """That it is none."""
        return "emulated"

    def allocate(self, size: int) -> int:
        """The address of memory that nobody has written: what a card zeroes, a program must not rely on."""
        try:
            with self._lock:
                return self._memory.allocate(size)
        except NoRoom as error:
            raise OutOfMemory(Diagnostic("memory", f"the emulated card has no room: {error}")) from None

    def free(self, address: int) -> None:
        """Give memory back."""
        with self._lock:
            self._taken.pop(address, None)
            self._memory.free(address)

    def write(self, address: int, array: Array) -> None:
        """Copy the elements of an array of the host, row-major."""
        with self._lock:
            self._memory.write(address, array)

    def fetch(self, host: Array, address: int, view: View) -> None:
        """Copy elements, which the host shows when `wait` returns; HostAccessError for any that nothing wrote."""
        host[:] = POISON
        dtype = np.dtype(NUMPY_DTYPE[view.type.dtype])
        with self._lock:
            found = self._memory.read_strided(address, view.shape, dtype, view.strides)
            self._fetched.append((np.ndarray(view.shape, dtype, host, 0, view.strides), found))

    def wait(self, what: str) -> None:
        """Show what was fetched."""
        with self._lock:
            for host, found in self._fetched:
                host[...] = found
            self._fetched.clear()

    def copy(self, to: int, start: int, size: int) -> None:
        """Copy bytes."""
        with self._lock:
            self._memory.copy(to, start, size)
            self._clock += 1
            self._taken[start] = self._clock

    def pinned(self, size: int) -> Array:
        """Bytes of the host as any other."""
        return np.zeros(size, np.uint8)

    def event(self) -> _Event:
        """A moment that has passed."""
        return _Event()

    def forget_event(self, event: _Event) -> None:
        """There is nothing to give back."""

    def send(self, address: int, host: Array, after: _Event, landed: _Event) -> None:
        """Poison where the bytes are to be, until somebody waits for them.

        NetError where what is there may still be read: `after` is older than the last copy from there.
        """
        with self._lock:
            if self._taken.get(address, 0) > after.time:
                raise _disorder("a copy ahead overwrites what the last step still reads")
            self._memory.poison(address, host.nbytes)
            landed.copy = _Copy(address, host, host.tobytes())

    def follow(self, landed: _Event) -> None:
        """Let the bytes be there."""
        self.settle(landed)

    def mark(self, event: _Event) -> None:
        """All that was launched is done."""
        event.time = self._clock

    def settle(self, event: _Event) -> None:
        """Let the bytes be there; NetError where the host has changed them meanwhile."""
        with self._lock:
            copy, event.copy = event.copy, None
            if copy is not None:
                if copy.host.tobytes() != copy.sent:
                    raise _disorder("page-locked memory was written while a copy read it")
                self._memory.write(copy.address, copy.host)

    def load(self, source: Source, shared: int) -> Kernel:
        """The kernel of a source."""
        if source.key not in self._kernels:
            self.compiled += not is_kept(source, self.capability, PTX)
            module = self._emulator.load(compile_ptx(source, self.capability))
            self._kernels[source.key] = module.kernel(module.kernels[0])
        return self._kernels[source.key]

    def run(self, step: BoundStep) -> None:
        """Run a step; NetError names it, and what its kernel did wrong."""
        for card, address, size in step.dead:
            card._memory.poison(address, size)
        self.execute(step)

    def execute(self, step: BoundStep) -> None:
        """Run a step, and poison nothing before it."""
        if isinstance(step, BoundCopy):
            to = cast("EmulatedCard", step.to)
            to._memory.copy(step.target, step.source, step.size, self._memory)
        elif isinstance(step, BoundLaunch):
            self._launch(step)

    def _launch(self, launch: BoundLaunch) -> None:
        given = (launch.function, launch.blocks, launch.threads, launch.arguments)
        try:
            with self._lock:
                self._emulator.launch(*given, shared=launch.shared, seed=self.seed)
        except KernelFault as fault:
            raise NetError(Diagnostic("device", f"the kernel of {launch.title}: {fault}")) from fault
        self.launched += 1

    def bind(self, steps: Sequence[BoundStep], replayed: bool = False) -> Bound:
        """The steps, which are run one by one."""
        return _Steps(steps)

    def facts(self) -> Mapping[str, Any]:
        """That it is none."""
        return {
            "cuda": f"emulated with NumPy {np.__version__}, sm_{''.join(map(str, self.capability))}, for checking"
        }


@dataclass
class _Copy:
    """Bytes on their way, and what they were when they were sent."""

    address: int
    host: Array
    sent: bytes


@dataclass
class _Event:
    """A moment: so many copies within the card after the beginning, or when bytes are there."""

    time: int = 0
    copy: _Copy | None = None


def _disorder(text: str) -> NetError:
    return NetError(Diagnostic("device", f"{text}: events are missing"))


class _Steps(Bound):
    """They are done when `run` returns."""

    def __init__(self, steps: Sequence[BoundStep]) -> None:
        self.steps = steps

    def run(self) -> None:
        """Run all of them."""
        for number in range(len(self.steps)):
            self.run_one(number)

    def run_one(self, number: int) -> None:
        """Run one."""
        step = self.steps[number]
        cast("EmulatedCard", step.card).run(step)
