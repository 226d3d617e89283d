"""Plans depthwise convolutions: their drivers walk rows of pixels and look up which taps lie inside.

Roles "forward" and "backward_data" are correlations, the latter one for each phase of the stride;
"backward_weights" sums over rows of pixels in a fixed number of parts, whatever the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdsl.backend.arguments import Arguments, layout_of
from netdsl.backend.step import SCRATCH, Plan, Slot, start_of
from netdsl.cpu.contract.arguments import BUFFER_BYTES, Depthwise, Tap
from netdsl.cpu.contract.geometry import Correlation, Geometry, forward
from netdsl.cpu.contract.problem import Problem
from netdsl.cpu.contract.step import code, depthwise_library, sum_step
from netdsl.cpu.step import Code, Step
from netdsl.native import host
from netdsl.schedule import View

MAX_TAPS = BUFFER_BYTES // (8 * layout_of(Tap).words)
PARTS = 8


def is_depthwise(g: Geometry) -> bool:
    """Whether every channel is a group of its own and the kernels here take it."""
    return g.c == g.f == 1 and g.groups > 1 and g.k[0] * g.k[1] * g.k[2] <= MAX_TAPS


class DepthwiseSums:
    """A sum for every channel; the weights are used as they are."""

    def applies(self, problem: Problem) -> bool:
        """Whether nothing is summed over channels."""
        return is_depthwise(problem.geometry)

    def cost(self, problem: Problem) -> float:
        """Cycles of one thread: a multiply-add reads two vectors."""
        g = problem.geometry
        return math.prod((g.n, *g.y, *g.k)) * -(-g.channels // host.lanes())

    def plan(self, problem: Problem) -> Plan[Step]:
        """One step for each correlation; or the parts of the gradient, and their sum."""
        if problem.role == "backward_weights":
            return _gradient(problem.geometry, problem.operands, problem.result)
        return Plan(tuple(_sums(c, problem) for c in problem.correlations))


def _block(c: Correlation, g: Geometry) -> Arguments:
    """What describes a correlation."""
    block = Arguments(Depthwise, channels=g.channels, rows=c.source[0] * c.count[0] * c.count[1])
    names = ("depth", "height", "width")
    found = zip(names, c.source[1:], c.step, c.count, tap_lists(c, g), strict=True)
    for name, size, step, count, taps in found:
        block.fill(**{name: size, f"step_{name}": step, f"count_{name}": count})
        block.fill(**{f"taps_{name}": taps, f"tap_count_{name}": len(taps)})
    pixel = 4 * c.pitch
    line = pixel * c.size[2]
    plane = line * c.size[1]
    block.fill(a_pixel=4 * c.width, y_image=plane * c.size[0], y_plane=plane * c.stride[0])
    block.fill(y_row=line * c.stride[1], y_pixel=pixel * c.stride[2])
    block.fill(y_origin=c.origin[0] * plane + c.origin[1] * line + c.origin[2] * pixel)
    first, end = inner_range(c.offsets[2], c.count[2], c.step[2], c.source[3])
    block.fill(inner_first=first, inner_end=end)
    return block


def _sums(c: Correlation, problem: Problem) -> Step:
    g, operands, epilogue = problem.geometry, problem.operands, problem.epilogue
    block = _block(c, g)
    block.fill(a=Slot(operands[0]), w=Slot(operands[1]), y=Slot(problem.result, written=True))
    block.fill(low=epilogue.low, high=epilogue.high, kernel=_code("depthwise_sums"))
    if epilogue.bias is not None:
        block.fill(bias=Slot(operands[epilogue.bias]))
    if epilogue.residual is not None:
        block.fill(residual=Slot(operands[epilogue.residual]))
    return Step(g.title(problem.role), _code("depthwise"), block, units=block["rows"])


def _code(key: str) -> Code:
    return Code(depthwise_library, key)


def _gradient(g: Geometry, operands: Sequence[View], result: View) -> Plan[Step]:
    c = forward(g)
    size = 4 * g.k[0] * g.k[1] * g.k[2] * g.channels
    parts = min(PARTS, c.source[0] * c.count[0] * c.count[1]) if c.pixels else 0
    if not parts:
        return Plan((sum_step(g, result, 0, size),))
    block = _block(c, g)
    block.fill(parts=parts, w_bytes=size, kernel=_code("depthwise_products"), clear=code("add_parts"))
    block.fill(a=Slot(operands[0]), y=Slot(operands[1]), w=Slot(start_of(SCRATCH), written=True))
    step = Step(g.title("backward_weights"), _code("depthwise_gradient"), block, parts * size, parts)
    return Plan((step, sum_step(g, result, parts, size)))


def tap_lists(c: Correlation, g: Geometry) -> list[list[Arguments]]:
    """For each axis the taps: offset in pixels, bytes in the kernel."""
    row = 4 * g.channels
    strides = (row * g.k[1] * g.k[2], row * g.k[2], row)
    return [
        [Arguments(Tap, at=o, weight=t * s) for o, t in zip(offsets, taps, strict=True)]
        for offsets, taps, s in zip(c.offsets, c.taps, strides, strict=True)
    ]


def inner_range(offsets: Sequence[int], count: int, step: int, size: int) -> tuple[int, int]:
    """The first and the end of the results on an axis for which all taps are inside."""
    if not offsets:
        return 0, count
    first = max(0, -(offsets[0] // step)) if offsets[0] < 0 else 0
    end = (size - 1 - offsets[-1]) // step + 1
    first = min(first, count)
    return first, max(first, min(end, count))
