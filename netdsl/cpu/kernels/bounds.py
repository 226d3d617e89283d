"""What the generated kernels touch: loop nests over strided tensors, windows, regions, rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from netdsl.backend.arguments import Block
from netdsl.cpu.bounds import Broken, Claims, Rule
from netdsl.cpu.kernels.gather import GatherBlock
from netdsl.cpu.kernels.non_max_suppression import BEST, SuppressBlock
from netdsl.cpu.kernels.reduce import ReduceBlock
from netdsl.cpu.kernels.reduce_window import WindowBlock
from netdsl.cpu.kernels.roi_reduce import RoiBlock
from netdsl.cpu.kernels.top_k_arguments import TopKBlock


def _streams(c: Claims[Any], chunks: int, partial: int) -> None:
    """Strided reads and writes of a nest."""
    for name, slot in c.step.slots.items():
        strides, item = getattr(c.args, name.replace("start", "strides")), slot.view.item
        inner = strides[-1]
        if inner not in (0, item):
            raise Broken(f"elements {inner} bytes apart are taken for contiguous ones of {item}")
        over = list(zip(c.args.sizes, strides, strict=True))
        if slot.written:
            c.writes(name, item, 0, [*over, (chunks, partial)])
        else:
            c.reads(name, item, 0, over)


def _map(c: Claims[Block]) -> None:
    _streams(c, 1, 0)


def _reduce(c: Claims[ReduceBlock]) -> None:
    chunks, blocks = c.args.chunks, c.args.blocks
    c.positive(chunks=chunks, blocks=blocks)
    _streams(c, chunks, c.args.partial)


def _window(c: Claims[WindowBlock]) -> None:
    a = c.args
    row = 4 * a.c
    large, small = a.n * math.prod(a.size), a.n * math.prod(a.count)
    c.need(min(*a.stride, *a.dilation, *a.window) >= 1, "a step is not positive")
    if a.whole:
        reach = [(n - 1) * s + w for n, s, w in zip(a.count, a.stride, a.window, strict=True)]
        c.need(all(r <= n for r, n in zip(reach, a.size, strict=True)), "a window leaves the input")
    forward = c.step.driver == "reduce_window"
    for name, pixels, pitch in (("x", large, a.x_pitch), ("y", small, a.y_pitch), ("g", small, a.g_pitch)):
        if name in c.step.slots:
            c.reads(name, row, 0, [(pixels, pitch)])
    c.writes("out", row, 0, [(small if forward else large, a.out_pitch)])


def _region(c: Claims[RoiBlock]) -> None:
    a = c.args
    c.positive(blocks=a.blocks)
    whole, cells = 4 * a.n * a.h * a.w * a.c * a.blocks, 4 * a.n * a.r * a.p * a.q * a.c
    c.reads("rows", 4 * a.n * a.r * a.p * a.h)
    c.reads("columns", 4 * a.n * a.r * a.q * a.w)
    if c.step.driver == "roi_reduce":
        c.reads("map", whole)
        c.writes("cells", cells)
        return
    c.reads("cells", cells)
    c.writes("map", whole)
    if "x" in c.step.slots:
        c.reads("x", whole)
        c.reads("y", cells)


def _take(c: Claims[GatherBlock]) -> None:
    a = c.args
    row = a.columns * c.slot("x").view.item
    table, rows = a.outer * a.size * row, a.outer * a.count * row
    taking = c.step.driver == "gather"
    c.reads("index", 8 * a.count if a.outer else 0)
    c.reads("x", table if taking else rows)
    c.writes("out", rows if taking else table)


def _top(c: Claims[TopKBlock]) -> None:
    a = c.args
    c.need(0 <= a.count <= a.size or not a.rows, f"{a.count} of {a.size} elements are asked for")
    c.reads("x", 4 * a.rows * a.size)
    c.writes("out", 8 * a.rows * a.count)


def _suppress(c: Claims[SuppressBlock]) -> None:
    a = c.args
    c.need(a.line >= a.b, "lines of scores are shorter than the boxes")
    if a.n and a.k:
        c.reads("boxes", (a.n - 1) * a.sample + (a.k - 1) * a.class_ + 16 * a.b)
    c.reads("scores", 4 * a.n * a.k * a.b)
    c.writes("kept", 8 * a.n * a.count)
    c.writes("scratch", a.n * a.k * (4 * a.line + BEST))


RULES: Mapping[str, Rule] = {
    "map": _map,
    "reduce": _reduce,
    "reduce_window": _window,
    "reduce_window_grad": _window,
    "roi_reduce": _region,
    "roi_reduce_grad": _region,
    "gather": _take,
    "scatter_add": _take,
    "top_k": _top,
    "non_max_suppression": _suppress,
}
