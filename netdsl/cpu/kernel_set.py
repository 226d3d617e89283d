"""The kernels that one program needs, collected while it is planned and compiled together.

Protocol: planners take a `KernelSet`, request kernels by content and return drafts; after `compile` the drafts
become steps:

    kernels = KernelSet()
    drafts = [plan_map(op, operands, results, kernels) for ...]
    kernels.compile()
    steps = [kernels.steps(d) for d in drafts]

The steps of one plan run in order with a barrier between them.  They share one scratch: each says how many bytes
it needs, what one wrote the next reads, and no other plan's step may run in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu.library import AnyKernel, KernelLibrary
from netdsl.cpu.step import Slot, Step


@dataclass(frozen=True)
class Draft:
    """A step whose code is not compiled yet: `kernel` is the key of its code; the rest is as in `Step`."""

    title: str
    kernel: str
    args: NDArray[np.int64]
    slots: Mapping[int, Slot]
    scratch: int = 0
    keep: tuple[NDArray[Any], ...] = field(default=())


class KernelSet:
    """Kernels by key; a key must name the content, so that equal keys are equal code."""

    def __init__(self) -> None:
        self._kernels: dict[str, AnyKernel] = {}
        self._library: KernelLibrary | None = None

    def __len__(self) -> int:
        return len(self._kernels)

    def request(self, key: str, kernel: AnyKernel) -> str:
        """Ask for a kernel and return its key; raises RuntimeError after `compile`."""
        if self._library is not None and key not in self._kernels:
            raise RuntimeError("kernels are requested before the set is compiled")
        self._kernels.setdefault(key, kernel)
        return key

    def compile(self) -> None:
        """Compile all that was requested, or load it from the user's cache."""
        # In the order of the keys, so that programs with the same kernels share a cache entry.
        library = KernelLibrary("kernels", {key: self._kernels[key] for key in sorted(self._kernels)})
        for key in self._kernels:
            library.address(key)
        self._library = library

    def address(self, key: str) -> int:
        """The address of a compiled kernel; valid as long as this set lives."""
        if self._library is None:
            raise RuntimeError("the set of kernels is not compiled yet")
        return self._library.address(key)

    def steps(self, drafts: Sequence[Draft]) -> list[Step]:
        """The drafts with the addresses of their code."""
        return [Step(d.title, self.address(d.kernel), d.args, d.slots, d.scratch, d.keep) for d in drafts]
