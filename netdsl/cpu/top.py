"""`top_indices` on the CPU: a heap of the best so far, with the worst of them on top, then a sort of the heap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from netdsl.cpu.library import NumbaKernel
from netdsl.cpu.nest import elements
from netdsl.cpu.step import Generated, Slot, Step
from netdsl.ir import TensorType
from netdsl.primitives import TopIndices


class Word(IntEnum):
    """Words of the argument block: ROWS rows of SIZE elements, each with COUNT indices."""

    X = 0
    OUT = 1
    ROWS = 2
    SIZE = 3
    COUNT = 4


def plan_top(op: TopIndices, operands: Sequence[TensorType], results: Sequence[TensorType]) -> list[Step]:
    """One step; the heaps are in the result."""
    (x,) = operands
    block = np.array([0, 0, elements(x.shape[:-1]), x.shape[-1], op.count], np.int64)
    slots: dict[int, Slot] = {int(Word.X): Slot("operand", 0), int(Word.OUT): Slot("result", 0)}
    title = f"{op.name} {op.count} of {x.shape[-1]}"
    kernel = NumbaKernel(_driver)
    return [Step(title, Generated(op.name, kernel), block, slots)]


def _driver() -> Callable[..., None]:
    """The kernel; importing it imports Numba, which only a cold cache needs."""
    from netdsl.cpu.top_driver import top_indices

    return top_indices
