"""Modules on a device, and launches of their kernels: the grid in slices of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn

import numpy as np

from netdsl.cuda.emulator.errors import DataRace, Index, LaunchError, PTXError
from netdsl.cuda.emulator.lanes import Lanes, Order, Scheduler, Statistics
from netdsl.cuda.emulator.memory import ALLOCATED, INITIALISED, DeviceMemory, Space
from netdsl.cuda.emulator.operands import DTYPES, Instruction, Variable
from netdsl.cuda.emulator.parse import Parameter, parse
from netdsl.cuda.emulator.races import BlockRaces
from netdsl.cuda.emulator.translate import Program, translate

LANES: Final = 16384
"""Lanes of a slice: whole blocks, at least one.  Their registers stay in a processor's cache."""

MAX_SHARED: Final = 227 * 1024
"""Bytes of shared memory that a block may have, as on sm_90."""

MAX_SLICE: Final = 1 << 26
"""Bytes of shared and local memory of one slice."""

MAX_GRID: Final = (2**31 - 1, 65535, 65535)
MAX_BLOCK: Final = (1024, 1024, 64)
MAX_THREADS: Final = 1024
STEPS: Final = 2_000_000
"""Basic blocks that a slice may execute before it counts as endless."""


class Kernel:
    """A kernel of a module that is loaded on a device."""

    def __init__(self, module: Module, program: Program) -> None:
        self.module, self.program, body = module, program, program.body
        self.name, self.max_threads = body.name, body.max_threads
        self.parameters: tuple[Parameter, ...] = body.parameters
        self.parameter_size = body.parameter_size
        self.shared_size = program.placement.shared_size
        self.local_size = program.placement.local_size
        self.registers = sum(max(1, DTYPES[kind].itemsize // 4) for kind in body.kinds if kind != "pred")

    def pack(self, values: Sequence[Any]) -> bytes:
        """The block of arguments: integers, floats or bytes, by the types of the parameters."""
        if len(values) != len(self.parameters):
            raise LaunchError(f"{self.name} takes {len(self.parameters)} arguments, {len(values)} are given")
        block = bytearray(self.parameter_size)
        for parameter, value in zip(self.parameters, values, strict=True):
            block[parameter.offset : parameter.offset + parameter.size] = _packed(parameter, value)
        return bytes(block)


def _packed(parameter: Parameter, value: Any) -> bytes:
    dtype = DTYPES[parameter.type]
    if isinstance(value, bytes):
        data = value
    elif dtype.kind == "f":
        data = dtype.type(value).tobytes()
    elif isinstance(value, float | np.floating) and not float(value).is_integer():
        data = np.dtype(f"f{dtype.itemsize}").type(value).tobytes()
    else:
        bits = 8 * dtype.itemsize
        if not -(1 << bits - 1) <= int(value) < 1 << bits:
            raise LaunchError(f"{value} does not fit into {parameter.name}, which has {bits} bits")
        data = (int(value) % (1 << bits)).to_bytes(dtype.itemsize, "little")
    if len(data) != parameter.size:
        raise LaunchError(f"{parameter.name} has {parameter.size} bytes, {len(data)} are given")
    return data


class Module:
    """A text of PTX on a device: its kernels, and its variables in the device's memory."""

    def __init__(self, text: str, memory: DeviceMemory) -> None:
        variables, self._programs = _translated(text)
        self._addresses: dict[str, tuple[int, int]] = {}
        for variable in variables.values():
            if variable.space in ("global", "const"):
                self._addresses[variable.name] = _allocate(variable, memory), variable.size or 0
        self.kernels = tuple(self._programs)

    def kernel(self, name: str) -> Kernel:
        """A kernel by name."""
        if name not in self._programs:
            raise PTXError(f"no kernel is called {name}; there is {', '.join(self.kernels)}")
        return Kernel(self, self._programs[name])

    def symbol(self, name: str) -> tuple[int, int]:
        """Address and size of a variable."""
        if name not in self._addresses:
            raise PTXError(f"no variable is called {name}")
        return self._addresses[name]


def _allocate(variable: Variable, memory: DeviceMemory) -> int:
    size = variable.size or 0
    address = memory.allocate(size)
    memory.write(address, variable.values.ljust(size, b"\0"))
    memory.protect(address, size, variable.space == "const")
    return address


@lru_cache(maxsize=4096)
def _translated(text: str) -> tuple[dict[str, Variable], dict[str, Program]]:
    variables, bodies = parse(text)
    return variables, {name: translate(body) for name, body in bodies.items()}


class Emulator:
    """One device that executes PTX on NumPy lanes and checks every access."""

    def __init__(self, memory: DeviceMemory) -> None:
        self.memory = memory

    def load(self, text: str) -> Module:
        """A module on this device.  Texts are translated once; raises PTXError with the line."""
        return Module(text, self.memory)

    def launch(
        self,
        kernel: Kernel,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        arguments: bytes,
        *,
        shared: int = 0,
        seed: int = 0,
        races: bool = True,
        bank_conflicts: bool = False,
        steps: int = STEPS,
    ) -> Statistics:
        """Run a kernel to its end; `shared` is dynamic shared memory in bytes.

        `seed` permutes the order of blocks and of warps; a right kernel gives the same bits for any.  `races` looks
        for data races, `bank_conflicts` counts them.  Raises KernelFault for what the checks find, LaunchError for
        what a GPU would refuse to launch.
        """
        shape, threads = _extent("grid", grid, MAX_GRID), _extent("block", block, MAX_BLOCK)
        self._check(kernel, int(np.prod(threads)), arguments, shared)
        statistics = Statistics(int(np.prod(shape, dtype=np.int64)), int(np.prod(threads)))
        run = _Launch(kernel, self.memory, arguments, shared, races, bank_conflicts, steps, statistics)
        statistics.threads *= statistics.blocks
        with np.errstate(all="ignore"):
            for order in _slices(kernel.program, shape, threads, shared, seed):
                run.slice(order)
        statistics.opcodes = frozenset().union(*(kernel.program.opcodes[n] for n in run.seen))
        return statistics

    def _check(self, kernel: Kernel, threads: int, arguments: bytes, shared: int) -> None:
        name = kernel.name
        if threads > min(MAX_THREADS, kernel.max_threads):
            most = min(MAX_THREADS, kernel.max_threads)
            raise LaunchError(f"{threads} threads in a block of {name}, which takes at most {most}")
        if shared < 0 or kernel.shared_size + shared > MAX_SHARED:
            have = f"{kernel.shared_size:,} + {shared:,}"
            raise LaunchError(f"{have} bytes of shared memory for {name}, at most {MAX_SHARED:,}")
        if len(arguments) != kernel.parameter_size:
            raise LaunchError(
                f"{name} takes {kernel.parameter_size} bytes of arguments, {len(arguments)} are given"
            )


def _extent(name: str, given: int | Sequence[int], most: Index) -> Index:
    sizes = [given] if isinstance(given, int) else [int(n) for n in given]
    if not 1 <= len(sizes) <= 3 or any(not 1 <= n <= m for n, m in zip(sizes, most, strict=False)):
        raise LaunchError(f"a {name} of {given}; each of up to three sizes is 1 to {most}")
    x, y, z = [*sizes, 1, 1][:3]
    return x, y, z


def _slices(program: Program, grid: Index, block: Index, shared: int, seed: int) -> Iterator[Order]:
    """The blocks of a grid, some at a time."""
    threads, blocks = int(np.prod(block)), int(np.prod(grid, dtype=np.int64))
    bytes_of_block = (
        program.placement.shared_end + shared + threads * (program.placement.local_size + 16) + 256
    )
    many = max(1, min(LANES // threads, MAX_SLICE // bytes_of_block))
    starts = list(range(0, blocks, many))
    random = np.random.default_rng(seed)
    if seed:
        starts = [starts[k] for k in random.permutation(len(starts))]
    for start in starts:
        numbers = np.arange(start, min(start + many, blocks))
        yield Order(grid, block, random.permutation(numbers) if seed else numbers, seed)


class _Launch:
    """What the slices of one launch share."""

    def __init__(
        self,
        kernel: Kernel,
        memory: DeviceMemory,
        arguments: bytes,
        shared: int,
        races: bool,
        conflicts: bool,
        steps: int,
        statistics: Statistics,
    ) -> None:
        self.kernel, self.memory, self.shared, self.races = kernel, memory, shared, races
        self.conflicts, self.steps, self.statistics = conflicts, steps, statistics
        self.seen: set[int] = set()
        self.parameters = Space(len(arguments) + 32)
        self.parameters.data[: len(arguments)] = np.frombuffer(arguments, np.uint8)
        self.parameters.state[: len(arguments)] = ALLOCATED | INITIALISED
        self.order: Order | None = None
        self.global_races: BlockRaces | None = None
        if races and statistics.blocks > 1:
            self.global_races = BlockRaces(memory.used, kernel.program.global_granule, self._report)

    def _report(
        self, i: Instruction, what: str, agent: int, other: int, site: Instruction, byte: int
    ) -> NoReturn:
        assert self.order is not None
        grid = self.order.grid

        def name(number: int) -> str:
            if number < 1:
                return "an atomic" if number == -1 else "several blocks"
            n = number - 1
            return f"block {(n % grid[0], n // grid[0] % grid[1], n // grid[0] // grid[1])}"

        address = self.memory.base + byte
        detail = (
            f"{what} of global address {address:#x} by {name(agent)} and {name(other)}, the other at PTX line "
            f"{site.line}: {site.text}: {self.memory.describe(address)}"
        )
        raise DataRace(detail, self.kernel.name, i.line, i.text, i.source)

    def slice(self, order: Order) -> None:
        """Run some blocks."""
        program = self.kernel.program
        self.order = order
        lanes = Lanes(
            self.kernel.name,
            order,
            program.placement,
            self.memory,
            self.parameters,
            self.shared,
            program.granule if self.races else None,
            self.global_races,
            self.statistics,
        )
        lanes.count_conflicts = self.conflicts
        lanes.registers = list(program.registers)
        for slot, name in program.specials:
            lanes.registers[slot] = lanes.special[name].astype(lanes.registers[slot].dtype)
        for slot, variable in program.variables:
            address = self.kernel.module.symbol(variable.name)[0]
            lanes.registers[slot] = lanes.registers[slot].dtype.type(address)
        scheduler = Scheduler(lanes, program.blocks, self.steps)
        scheduler.run()
        self.seen |= scheduler.seen
