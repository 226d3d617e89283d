"""Plans depthwise convolutions: their drivers walk rows of pixels and look up which taps lie inside.

Roles "forward" and "backward_data" are correlations, the latter one for each phase of the stride;
"backward_weights" sums over rows of pixels in a fixed number of parts, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.step import SCRATCH, Plan, Slot, start_of
from netdsl.cpu.contract import depthwise_words as w
from netdsl.cpu.contract.geometry import Correlation, Geometry, backward, forward
from netdsl.cpu.contract.step import bits, code, depthwise_library, sum_step
from netdsl.cpu.contract.words import BUFFER_BYTES
from netdsl.cpu.step import Code, Step
from netdsl.primitives.epilogue import Epilogue
from netdsl.schedule import View

MAX_TAPS = BUFFER_BYTES // 16
PARTS = 8


def is_depthwise(g: Geometry) -> bool:
    """Whether every channel is a group of its own and the kernels here take it."""
    return g.c == g.f == 1 and g.groups > 1 and g.k[0] * g.k[1] * g.k[2] <= MAX_TAPS


def plan_depthwise(
    role: str, g: Geometry, operands: Sequence[View], result: View, epilogue: Epilogue
) -> Plan[Step]:
    """The steps of a depthwise convolution; the weights are used as they are."""
    if role == "backward_weights":
        return _gradient(g, operands, result)
    found = [forward(g)] if role == "forward" else list(backward(g))
    slots = {w.A: Slot(operands[0]), w.W: Slot(operands[1]), w.Y: Slot(result, written=True)}
    if epilogue.bias is not None:
        slots[w.BIAS] = Slot(operands[epilogue.bias])
    if epilogue.residual is not None:
        slots[w.RESIDUAL] = Slot(operands[epilogue.residual])
    return Plan(tuple(_sums(c, g, g.title(role), slots, epilogue) for c in found if c.pixels))


def _block(c: Correlation, g: Geometry) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The words that describe a correlation, and the tables they point at."""
    words = np.zeros(w.WORDS, np.int64)
    words[w.CHANNELS] = g.channels
    words[[w.DEPTH, w.HEIGHT, w.WIDTH]] = c.source[1:]
    words[[w.STEP_DEPTH, w.STEP_HEIGHT, w.STEP_WIDTH]] = c.step
    words[[w.COUNT_DEPTH, w.COUNT_HEIGHT, w.COUNT_WIDTH]] = c.count
    words[w.ROWS] = c.source[0] * c.count[0] * c.count[1]
    pixel = 4 * c.pitch
    words[w.A_PIXEL] = 4 * c.width
    line = pixel * c.size[2]
    plane = line * c.size[1]
    words[[w.Y_IMAGE, w.Y_PLANE]] = [plane * c.size[0], plane * c.stride[0]]
    words[[w.Y_ROW, w.Y_PIXEL]] = [line * c.stride[1], pixel * c.stride[2]]
    words[w.Y_ORIGIN] = c.origin[0] * plane + c.origin[1] * line + c.origin[2] * pixel
    tables = tap_lists(c, g)
    words[[w.TAPS_DEPTH, w.TAPS_HEIGHT, w.TAPS_WIDTH]] = [t.ctypes.data for t in tables]
    words[[w.TAP_COUNT_DEPTH, w.TAP_COUNT_HEIGHT, w.TAP_COUNT_WIDTH]] = [len(t) for t in tables]
    words[[w.INNER_FIRST, w.INNER_END]] = inner_range(c.offsets[2], c.count[2], c.step[2], c.source[3])
    return words, tables


def _sums(c: Correlation, g: Geometry, title: str, slots: dict[int, Slot], epilogue: Epilogue) -> Step:
    words, tables = _block(c, g)
    words[[w.LOW, w.HIGH]] = [bits(epilogue.low), bits(epilogue.high)]
    links = {w.KERNEL: _code("depthwise_sums")}
    return Step(title, _code("depthwise"), words, slots, links=links, keep=tuple(tables))


def _code(key: str) -> Code:
    return Code(depthwise_library, key)


def _gradient(g: Geometry, operands: Sequence[View], result: View) -> Plan[Step]:
    c = forward(g)
    size = 4 * g.k[0] * g.k[1] * g.k[2] * g.channels
    parts = min(PARTS, c.source[0] * c.count[0] * c.count[1]) if c.pixels else 0
    if not parts:
        return Plan((sum_step(g, result, 0, size),))
    words, tables = _block(c, g)
    words[[w.PARTS, w.W_BYTES]] = [parts, size]
    links = {w.KERNEL: _code("depthwise_products"), w.CLEAR: code("add_parts")}
    slots = {w.A: Slot(operands[0]), w.Y: Slot(operands[1]), w.W: Slot(start_of(SCRATCH), written=True)}
    entry, keep = _code("depthwise_gradient"), tuple(tables)
    step = Step(g.title("backward_weights"), entry, words, slots, parts * size, links, keep)
    return Plan((step, sum_step(g, result, parts, size)))


def tap_lists(c: Correlation, g: Geometry) -> list[NDArray[np.int64]]:
    """For each axis the taps as rows of (offset in pixels, bytes in the kernel)."""
    row = 4 * g.channels
    strides = (row * g.k[1] * g.k[2], row * g.k[2], row)
    return [
        np.array([(o, t * s) for o, t in zip(offsets, taps, strict=True)], np.int64).reshape(-1, 2)
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
