"""What a translated kernel is: basic blocks of steps, and the places of its variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from netdsl.cuda.emulator.operands import Instruction, Variable

if TYPE_CHECKING:
    from netdsl.cuda.emulator.lanes import Lanes
    from netdsl.cuda.emulator.memory import Array

    Step = Callable[[Lanes, Array | None], None]
    """One instruction on all lanes; the mask says which of them are active, None all."""
else:
    Step = Any

EXIT: Final = 1 << 30
"""The number of the block after the last."""

SHARED_START: Final = 1024
"""Shared memory begins here, as on sm_90: address 0 is no variable."""

RED_ZONE: Final = 64
"""Bytes between variables of shared memory, where every access is out of bounds."""


@dataclass(eq=False)
class BasicBlock:
    """Instructions that are executed one after another, and what comes then.

    `end` is the branch, barrier or exit; `condition` the slot of its predicate and its negation; `targets` are
    numbers of blocks.  `collective`: a warp runs its first instruction together.
    """

    number: int
    instructions: list[Instruction]
    end: Instruction | None = None
    steps: list[Step] = field(default_factory=list)
    condition: tuple[int, bool] | None = None
    targets: tuple[int, ...] = ()
    following: int = EXIT
    barrier: bool = False
    merged: tuple[int, ...] = ()
    collective: bool = False


@dataclass
class Placement:
    """Where the variables of shared and local memory lie; those of shared memory have red zones between."""

    shared: dict[Variable, int] = field(default_factory=dict)
    local: dict[Variable, int] = field(default_factory=dict)
    shared_end: int = SHARED_START
    shared_size: int = 0
    local_size: int = 0
    dynamic: list[Variable] = field(default_factory=list)

    def place(self, variable: Variable) -> int:
        """The offset of a variable in its space."""
        if variable.space == "shared":
            return self._place_shared(variable)
        if variable not in self.local:
            at = -(-self.local_size // variable.alignment) * variable.alignment
            self.local[variable] = at
            self.local_size = at + (variable.size or 0) + 16
        return self.local[variable]

    def _place_shared(self, variable: Variable) -> int:
        if variable not in self.shared and variable.size is not None:
            step = max(16, variable.alignment)
            self.shared[variable] = -(-self.shared_end // step) * step
            self.shared_end = self.shared[variable] + variable.size + RED_ZONE
            self.shared_size = -(-self.shared_size // variable.alignment) * variable.alignment + variable.size
        return self.shared[variable]

    @property
    def dynamic_start(self) -> int:
        """Where dynamic shared memory begins, aligned for everything."""
        return -(-self.shared_end // 128) * 128

    def settle(self, variables: list[Variable]) -> None:
        """Place the variables that a kernel uses, those of dynamic size behind all others."""
        for variable in variables:
            if variable.size is not None:
                self.place(variable)
        for variable in variables:
            if variable.size is None:
                self.shared[variable] = self.dynamic_start
