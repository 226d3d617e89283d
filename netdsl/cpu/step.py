"""Steps, which kernel planners return: calls of machine code whose addresses are not filled in yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.library import AnyKernel, KernelLibrary


@dataclass(frozen=True, slots=True)
class Code:
    """A kernel or driver of a library that all programs share."""

    library: Callable[[], KernelLibrary]
    driver: str

    def __call__(self) -> int:
        """The address."""
        return self.library().address(self.driver)


@dataclass(frozen=True, slots=True)
class Generated:
    """A kernel made for one program: it is compiled together with the others, under its key.

    `driver` names what it does with its argument block.
    """

    driver: str
    key: str
    kernel: AnyKernel


@dataclass(frozen=True)
class Step:
    """One entry of a program: `entry(args, part, parts, workspace)`, with all parts done before the next begins.

    `args` is the argument block, `scratch` the bytes needed for all parts together; `title` names the step in
    profiles ("contract output 3x3 64->128 @ 28x28").  More parts than `units` leave some with nothing to do; None
    where there are as many as anybody wants.  TypeError for a block that is not filled.
    """

    title: str
    entry: Code | Generated
    args: Arguments
    scratch: int = 0
    units: int | None = None

    def __post_init__(self) -> None:
        self.args.close()

    @property
    def slots(self) -> Mapping[str, Slot]:
        """The fields of the block that point at buffers."""
        return self.args.slots

    @property
    def driver(self) -> str:
        """The name of the driver, by which `bounds` knows what it does with the block."""
        return self.entry.driver
