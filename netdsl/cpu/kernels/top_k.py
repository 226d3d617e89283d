"""`top_k` on the CPU: a heap of the largest elements so far, the smallest on top, which is sorted at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from netdsl.cpu.codegen.library import NumbaKernel
from netdsl.cpu.codegen.nest import elements
from netdsl.cpu.kernels import top_k_words as w
from netdsl.cpu.step import Generated, Slot, Step
from netdsl.ir import TensorType
from netdsl.primitives import TopK


def plan_top(op: TopK, operands: Sequence[TensorType], results: Sequence[TensorType]) -> list[Step]:
    """One step; the heaps are in the result."""
    (x,) = operands
    block = np.zeros(w.WORDS, np.int64)
    block[[w.ROWS, w.SIZE, w.COUNT]] = [elements(x.shape[:-1]), x.shape[-1], op.count]
    slots = {w.X: Slot("operand", 0), w.OUT: Slot("result", 0)}
    title = f"{op.name} {op.count} of {x.shape[-1]}"
    kernel = NumbaKernel(_driver)
    return [Step(title, Generated(op.name, op.name, kernel), block, slots)]


def _driver() -> Callable[..., None]:
    """The kernel; importing it imports Numba, which only a cold cache needs."""
    from netdsl.cpu.kernels.top_k_driver import top_k

    return top_k
