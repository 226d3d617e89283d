"""What the generated kernels touch: loop nests over strided tensors, windows, regions, rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from netdsl.cpu.bounds import Claims, Rule
from netdsl.cpu.kernels import top_k_words as top_words
from netdsl.cpu.kernels.gather import Word as T
from netdsl.cpu.kernels.non_max_suppression import BEST
from netdsl.cpu.kernels.non_max_suppression import Word as S
from netdsl.cpu.kernels.reduce import HEADER
from netdsl.cpu.kernels.reduce_window import Word as W
from netdsl.cpu.kernels.roi_reduce import Word as R


def _streams(c: Claims, header: int, chunks: int, partial: int) -> None:
    """Strided reads and writes of a nest: sizes after `header` words, then the start and strides of each stream."""
    first = min(c.step.slots)
    sizes = c.many(header, first - header)
    for word, slot in c.step.slots.items():
        strides, item = c.many(word + 1, len(sizes)), slot.view.item
        inner = strides[-1]
        c.need(inner in (0, item), f"elements {inner} bytes apart are taken for contiguous ones of {item}")
        over = list(zip(sizes, strides, strict=True))
        if slot.written:
            c.writes(word, item, 0, [*over, (chunks, partial)])
        else:
            c.reads(word, item, 0, over)


def _map(c: Claims) -> None:
    _streams(c, 1, 1, 0)


def _reduce(c: Claims) -> None:
    chunks, partial, blocks = c.many(0, HEADER)
    c.positive(chunks=chunks, blocks=blocks)
    _streams(c, HEADER, chunks, partial)


def _window(c: Claims) -> None:
    row = 4 * c[W.C]
    large, small = (c[W.N] * math.prod(c.many(word, 3)) for word in (W.SIZE, W.COUNT))
    c.need(
        min(c.many(W.STRIDE, 3) + c.many(W.DILATION, 3) + c.many(W.WINDOW, 3)) >= 1, "a step is not positive"
    )
    forward = c.step.driver == "reduce_window"
    for word, pixels in ((W.X, large), (W.Y, small), (W.G, small)):
        if word in c.step.slots:
            c.reads(word, row, 0, [(pixels, c[W.X_PITCH + word])])
    c.writes(W.OUT, row, 0, [(small if forward else large, c[W.OUT_PITCH])])


def _region(c: Claims) -> None:
    n, r, p, q, h, w, channels, blocks = c.many(R.N, 8)
    c.positive(blocks=blocks)
    whole, cells = 4 * n * h * w * channels * blocks, 4 * n * r * p * q * channels
    c.reads(R.ROWS, 4 * n * r * p * h)
    c.reads(R.COLUMNS, 4 * n * r * q * w)
    if c.step.driver == "roi_reduce":
        c.reads(R.MAP, whole)
        c.writes(R.CELLS, cells)
        return
    c.reads(R.CELLS, cells)
    c.writes(R.MAP, whole)
    if R.X in c.step.slots:
        c.reads(R.X, whole)
        c.reads(R.Y, cells)


def _take(c: Claims) -> None:
    outer, size, count, columns = c.many(T.OUTER, 4)
    item = c.slot(T.X).view.item
    table, rows = outer * size * columns * item, outer * count * columns * item
    taking = c.step.driver == "gather"
    c.reads(T.INDEX, 8 * count if outer else 0)
    c.reads(T.X, table if taking else rows)
    c.writes(T.OUT, rows if taking else table)


def _top(c: Claims) -> None:
    rows, size, count = c[top_words.ROWS], c[top_words.SIZE], c[top_words.COUNT]
    c.need(0 <= count <= size or not rows, f"{count} of {size} elements are asked for")
    c.reads(top_words.X, 4 * rows * size)
    c.writes(top_words.OUT, 8 * rows * count)


def _suppress(c: Claims) -> None:
    n, k, b, line, count = c.many(S.N, 5)
    c.need(line >= b, "lines of scores are shorter than the boxes")
    if n and k:
        c.reads(S.BOXES, (n - 1) * c[S.SAMPLE] + (k - 1) * c[S.CLASS] + 16 * b)
    c.reads(S.SCORES, 4 * n * k * b)
    c.writes(S.KEPT, 8 * n * count)
    c.writes(S.SCRATCH, n * k * (4 * line + BEST))


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
