"""`lp_pool`: the p-norm of each window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, Value
from netdsl.ops.base import setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.pool import Pool, onnx_windows
from netdsl.ops.settings import number
from netdsl.primitives import PrimitiveBuilder, ReduceWindow
from netdsl.scalar import Expr, absolute, power, where


def _exponent(value: Any) -> float:
    p = number(value)
    if not 1 <= p < math.inf:
        raise ValueError(f"must be at least 1, not {value!r}")
    return p


@dataclass(frozen=True)
class LpPool(Pool):
    """`(sum of |x|^p) ^ (1 / p)` over each window, per channel; its derivative is 0 where the window is.

    Between a sum (p = 1) and a maximum (p large).  Sermanet et al. 2012; ONNX LpPool, PyTorch LPPool, which leaves
    out the `| |`.
    """

    name: ClassVar[str] = "lp_pool"
    p: float = setting("the exponent, 1 or more", 2.0, _exponent)

    def pooled(self, b: PrimitiveBuilder, x: Value, window: ReduceWindow) -> Value:
        """An average of powers, times its divisor."""
        powers = b.map(lambda v: v * v if self.p == 2 else power(absolute(v), self.p), x)
        cells = float(math.prod(window.size))

        def root(mean: Expr) -> Expr:
            return where(mean > 0.0, power(cells * mean, 1.0 / self.p), 0.0)

        return b.map(root, b.add1(summing(window), powers))

    @override
    def onnx_pooled(self, m: OnnxBuilder, x: str, window: ReduceWindow) -> str | None:
        if self.p != int(self.p):
            return None
        return m.node("LpPool", x, p=int(self.p), **onnx_windows(window))

    @override
    def reference_cells(self, cells: Array) -> Array:
        return np.asarray(np.nansum(np.abs(cells) ** self.p, 1) ** (1 / self.p))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Those of all pools, other exponents, windows of zeros."""
        return (
            *super().samples(),
            *(Sample(cls(3, stride=2, pad=1, p=p), ((1, 5, 6, 3),)) for p in (1.0, 3.0, 2.5)),
            Sample(cls(2, p=3.0), ((1, 4, 4, 2),), low=0.0, high=0.0),
        )


def summing(window: ReduceWindow) -> ReduceWindow:
    """Averages whose divisor is the size of the window everywhere: what it reaches outside counts as zeros."""
    ends = zip(window.pad, window.overhang, strict=True)
    return replace(
        window,
        pad=tuple((lo, hi + over) for (lo, hi), over in ends),
        overhang=(0,) * len(window.size),
        include_pad=True,
    )
