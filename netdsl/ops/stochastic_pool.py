"""`stochastic_pool`: one cell of each window, drawn in proportion to its activation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ir.types import FLOAT_MIN
from netdsl.ops.lp_pool import summing
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.pool import Pool, onnx_windows
from netdsl.primitives import PrimitiveBuilder, ReduceWindow, Slice
from netdsl.scalar import Expr, cast_float, eq, maximum, stop_gradient, where

MAX_CELLS = 64
"""Cells of a window: each is an operand of the kernel that draws one."""


@dataclass(frozen=True)
class StochasticPool(Pool):
    """In training a cell of each window, drawn with probability `x / sum of x`; else `sum of x^2 / sum of x`.

    The mean over what might have been drawn.  Negative cells count as 0, and a window of zeros gives 0.
    Zeiler and Fergus, "Stochastic Pooling", 2013.
    """

    name: ClassVar[str] = "stochastic_pool"

    def window(self, x: TensorType) -> ReduceWindow:
        """The primitive for an input of this type."""
        found = super().window(x)
        if math.prod(found.size) > MAX_CELLS:
            message = f"{self.name} draws from {MAX_CELLS} cells at most, not {math.prod(found.size)}"
            raise ShapeError(message, setting="size")
        return found

    def pooled(self, b: PrimitiveBuilder, x: Value, window: ReduceWindow) -> Value:
        """A draw in training, a quotient of two averages in inference."""
        if b.training:
            return _drawn(b, _cells(b, x, window))
        first, second = (
            b.add1(summing(window), b.map(power, x)) for power in (_weight, lambda v: _weight(v) * _weight(v))
        )
        return b.map(lambda s, q: where(s < FLOAT_MIN, 0.0, q / s), first, second)

    def onnx_pooled(self, m: OnnxBuilder, x: str, window: ReduceWindow) -> str:
        """Two `AveragePool` nodes and their quotient, whose divisor is kept off 0."""
        weight = m.node("Relu", x)
        first, second = (
            m.node("AveragePool", v, count_include_pad=1, **onnx_windows(window))
            for v in (weight, m.node("Mul", weight, weight))
        )
        tiny = m.const(np.array(np.finfo(np.float32).tiny))
        return m.node("Div", second, m.node("Max", first, tiny))

    def reference_cells(self, cells: Array) -> Array:
        """The mean of the cells under the probabilities of the paper."""
        weight = np.maximum(np.nan_to_num(cells), 0)
        total = weight.sum(1, keepdims=True)
        return np.asarray((weight * weight / np.where(total == 0, 1, total)).sum(1))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Those of all pools, draws, windows without a positive cell, windows that are too large."""
        drawn = (40, 9, 9, 10)
        return (
            *super().samples(),
            Sample(cls(3, stride=2), (drawn,), low=0.0, training=True, random=True),
            Sample(cls(2, pad=1, axes=(0, -1)), (drawn,), training=True, random=True),
            Sample(cls(2), ((1, 4, 4, 2),), low=-1.0, high=-0.5),
            Sample(cls(9), ((1, 9, 9, 2),), error="draws from 64 cells at most, not 81"),
        )


def _weight(v: Expr) -> Expr:
    return maximum(v, 0.0)


def _cells(b: PrimitiveBuilder, x: Value, window: ReduceWindow) -> list[Value]:
    """The first cell of every window, the second, and so on; 0 outside of the map."""
    shape = b.type(x).shape
    out = window.out_size(shape[1:-1])
    offsets = itertools.product(
        *(range(0, k * d, d) for k, d in zip(window.size, window.dilation, strict=True))
    )
    return [
        b.add1(
            Slice(
                (0, *(o - lo for o, (lo, _) in zip(at, window.pad, strict=True)), 0),
                (1, *window.stride, 1),
                (shape[0], *out, shape[-1]),
            ),
            x,
        )
        for at in offsets
    ]


def _drawn(b: PrimitiveBuilder, cells: Sequence[Value]) -> Value:
    """For each window the cell in which a random share of the sum of all weights is reached."""

    def number(*operands: Expr) -> Expr:
        *values, key = operands
        sums = list(itertools.accumulate(map(_weight, values)))
        share = b.uniform(key) * sums[-1]
        passed = sum((cast_float(s <= share) for s in sums), start=cast_float(0))
        # A NaN in a window stays one.
        return where(eq(share, share), passed, share)

    def picked(chosen: Expr, *values: Expr) -> Expr:
        found = sum(where(eq(chosen, float(k)), v, 0.0) for k, v in enumerate(values))
        return where(eq(chosen, chosen), found, stop_gradient(chosen))

    return b.map(picked, b.map(number, *cells, b.key()), *cells)
