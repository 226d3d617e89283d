"""`top_k` on the CPU: a heap of the largest elements so far, the smallest on top, which is sorted at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netdsl.backend.arguments import Arguments
from netdsl.backend.axes import elements
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.library import NumbaKernel
from netdsl.cpu.kernels.top_k_arguments import TopKBlock
from netdsl.cpu.step import Generated, Step
from netdsl.primitives import TopK
from netdsl.schedule import View


def plan_top(op: TopK, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """One step; the heaps are in the result."""
    (x,) = operands
    block = Arguments(TopKBlock, x=Slot(x), out=Slot(results[0], written=True))
    block.fill(rows=elements(x.shape[:-1]), size=x.shape[-1], count=op.count)
    title = f"{op.name} {op.count} of {x.shape[-1]}"
    kernel = NumbaKernel(_driver)
    return [Step(title, Generated(op.name, op.name, kernel), block)]


def _driver() -> Callable[..., None]:
    """The kernel; importing it imports Numba, which only a cold cache needs."""
    from netdsl.cpu.kernels.top_k_driver import top_k

    return top_k
