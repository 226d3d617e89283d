"""A card that is emulated: the PTX of kernels on the processor, with every check, for machines without a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netdsl.backend.memory import Array, OutOfMemory
from netdsl.cuda.card import Bound, BoundLaunch, Card
from netdsl.cuda.compiler import PTX, compile_ptx, is_kept
from netdsl.cuda.emulator import DeviceMemory, Emulator, KernelFault
from netdsl.cuda.emulator import OutOfMemory as NoRoom
from netdsl.cuda.emulator.launch import Kernel
from netdsl.cuda.step import Source
from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.source import Diagnostic, NetError

CAPABILITY = (9, 0)
CAPACITY = 8 << 30
"""Bytes; the operating system gives pages when they are written."""
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
            return self._memory.allocate(size)
        except NoRoom as error:
            raise OutOfMemory(Diagnostic("memory", f"the emulated card has no room: {error}")) from None

    def free(self, address: int) -> None:
        """Give memory back."""
        self._memory.free(address)

    def write(self, address: int, array: Array) -> None:
        """Copy the elements of an array of the host, row-major."""
        self._memory.write(address, array)

    def read(self, address: int, t: TensorType, strides: Sequence[int]) -> Array:
        """Copy elements to the host; HostAccessError for those that nothing has written."""
        return self._memory.read_strided(address, t.shape, np.dtype(NUMPY_DTYPE[t.dtype]), strides)

    def load(self, source: Source, shared: int) -> Kernel:
        """The kernel of a source."""
        if source.key not in self._kernels:
            self.compiled += not is_kept(source, self.capability, PTX)
            module = self._emulator.load(compile_ptx(source, self.capability))
            self._kernels[source.key] = module.kernel(module.kernels[0])
        return self._kernels[source.key]

    def launch(self, launch: BoundLaunch) -> None:
        """Run a launch; NetError names it, and what its kernel did wrong."""
        for address, size in launch.dead:
            self._memory.poison(address, size)
        given = (launch.function, launch.blocks, launch.threads, launch.arguments)
        try:
            self._emulator.launch(*given, shared=launch.shared, seed=self.seed)
        except KernelFault as fault:
            raise NetError(Diagnostic("device", f"the kernel of {launch.title}: {fault}")) from fault
        self.launched += 1

    def bind(self, launches: Sequence[BoundLaunch], replayed: bool = False) -> Bound:
        """The launches, which are run one by one."""
        return _Launches(self, launches)

    def facts(self) -> Mapping[str, Any]:
        """That it is none."""
        return {
            "gpu": f"emulated with NumPy {np.__version__}, sm_{''.join(map(str, self.capability))}, for checking"
        }


class _Launches(Bound):
    """They are done when `run` returns."""

    def __init__(self, card: EmulatedCard, launches: Sequence[BoundLaunch]) -> None:
        self._card, self._launches = card, launches

    def run(self) -> None:
        """Run all of them."""
        for launch in self._launches:
            self._card.launch(launch)

    def run_one(self, number: int) -> None:
        """Run one."""
        self._card.launch(self._launches[number])
