"""Steps, which kernel planners return: calls of machine code whose addresses are not filled in yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.step import Slot
from netdsl.cpu.codegen.library import AnyKernel, KernelLibrary

Address = Callable[[], int]
"""Where code lies, or a table of it; asking may compile it."""


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
    """One entry of a program: `entry(args, part, parts, workspace)`, all shares of it between two barriers.

    `args` is the int64 argument block, `slots` maps a word of it to the data whose address to put there, `links` to
    code; `scratch` is the bytes needed for all shares together, `keep` are arrays that `args` points at.
    `title` names the step in profiles ("contract output 3x3 64->128 @ 28x28").
    """

    title: str
    entry: Code | Generated
    args: NDArray[np.int64]
    slots: Mapping[int, Slot]
    scratch: int = 0
    links: Mapping[int, Address] = field(default_factory=dict)
    keep: tuple[NDArray[Any], ...] = field(default=())

    @property
    def driver(self) -> str:
        """The name of the driver, by which `bounds` knows what it does with the block."""
        return self.entry.driver

    def bind(self, where: Callable[[int], int]) -> None:
        """Write the address of every buffer into the argument block."""
        for word, slot in self.slots.items():
            self.args[word] = where(slot.view.buffer) + slot.view.offset
