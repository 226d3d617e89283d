"""The reference device: each step is the NumPy meaning of its primitive, on the memory that the plan gives it.

It shares nothing with the kernels of other devices, so that what differs from it is wrong there or in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from netdsl.backend.lower import Lowered
from netdsl.backend.memory import Array, HostMemory
from netdsl.backend.step import Plan, Slot
from netdsl.backend.target import Executable, Spot, Target
from netdsl.compat import override
from netdsl.ir import Node, Op
from netdsl.machine import machine_memory
from netdsl.passes.limits import Limits
from netdsl.primitives.precision import Precision
from netdsl.schedule import Side, View

POISON = 255
"""All bits set: NaN as a float, -1 as an integer, a truth value that is neither."""


@dataclass(frozen=True)
class ReferenceStep:
    """A primitive between views of its operands and results; slots are numbered in that order."""

    title: str
    op: Op
    operands: tuple[View, ...]
    results: tuple[View, ...]
    slots: Mapping[int, Slot]
    scratch: int = 0


@dataclass(frozen=True)
class ReferenceTarget(Target[ReferenceStep]):
    """NumPy on this machine, a primitive at a time.

    `poison` fills memory that the plan says is free with all bits set, NaN for floats: a step that reads what another
    buffer may have overwritten then shows in the results.
    """

    name: ClassVar[str] = "reference"
    limits: ClassVar[Limits] = Limits()

    poison: bool = False

    def plan(
        self, op: Op, operands: Sequence[View], results: Sequence[View], fixed: bool
    ) -> Plan[ReferenceStep]:
        """One step."""
        slots = [*map(Slot, operands), *(Slot(view, written=True) for view in results)]
        title = f"{op.name} {' '.join(str(view.type) for view in results)}"
        return Plan((ReferenceStep(title, op, tuple(operands), tuple(results), dict(enumerate(slots))),))

    @override
    def lacks(self, precision: Precision) -> str | None:
        return None  # the meaning of a contraction has all of them

    @override
    def accepts(self, node: Node, side: Side, index: int, view: View) -> bool:
        return True  # NumPy's strides are as free as views are

    def capacity(self) -> int:
        """Bytes of memory of this machine."""
        return machine_memory()

    def allocate(self, size: int) -> HostMemory:
        """Zeroed memory."""
        return HostMemory(size)

    def link(
        self, lowered: Lowered[ReferenceStep], where: Mapping[int, Spot], scratch: Sequence[Spot]
    ) -> Executable:
        """Every step with arrays over its buffers."""
        calls = [_call(step, where) for call in lowered.calls for step in call.steps]
        freed = _freed(lowered, where) if self.poison else [[] for _ in range(len(calls) + 1)]
        return _Executable(calls, freed, len(lowered.prepare))

    def facts(self) -> dict[str, Any]:
        """The version of NumPy."""
        return {"reference": f"NumPy {np.__version__}, slow, for checking"}


@dataclass(frozen=True)
class _Call:
    """A primitive and its arrays."""

    op: Op
    operands: Sequence[Array]
    results: Sequence[Array]

    def run(self) -> None:
        # Copies: a result may lie where an operand does, and may be a view of it.
        found = [np.array(array) for array in self.op.reference(*self.operands)]
        for target, array in zip(self.results, found, strict=True):
            target[...] = array


def _call(step: ReferenceStep, where: Mapping[int, Spot]) -> _Call:
    def array(view: View) -> Array:
        spot = where[view.buffer]
        return _memory(spot).tensor(view, spot.offset).array

    return _Call(step.op, [array(v) for v in step.operands], [array(v) for v in step.results])


def _memory(spot: Spot) -> HostMemory:
    return cast("HostMemory", spot.memory)


def _freed(lowered: Lowered[ReferenceStep], where: Mapping[int, Spot]) -> list[list[Array]]:
    """The bytes of the buffers that are free before each call, and after the last."""

    def raw(b: int) -> Array:
        start = where[b].offset
        return _memory(where[b]).bytes[start : start + lowered.buffers[b].type.nbytes]

    return [[raw(b) for b in buffers] for buffers in lowered.freed()]


class _Executable(Executable):
    def __init__(self, calls: Sequence[_Call], freed: Sequence[Sequence[Array]], prepared: int) -> None:
        self._calls, self._freed, self._prepared = calls, freed, prepared
        self.count = len(calls) - prepared

    def prepare(self) -> None:
        """Compute what depends on weights alone."""
        for number in range(-self._prepared, 0):
            self.run_step(number)

    def run(self) -> None:
        """Run all steps once."""
        for number in range(self.count):
            self.run_step(number)
        self._free(len(self._calls))

    def run_step(self, number: int) -> None:
        """Run one step; numbers below 0 are those that prepare."""
        self._free(self._prepared + number)
        self._calls[self._prepared + number].run()

    def _free(self, moment: int) -> None:
        for raw in self._freed[moment]:
            raw[...] = POISON


TARGET = ReferenceTarget
