"""Contractions as correlations: which pixels of a source each pixel of a result meets, at which taps.

Role "forward" is one correlation of x.  Role "backward_data" is one correlation of y for each phase of the stride:
the pixels of x with the same remainder modulo the stride see the same taps, so nothing is multiplied by zeros that
were put between pixels.  The sums of role "backward_weights" run over the pixels of the correlation of x.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl.primitives import Contract


@dataclass(frozen=True)
class Axis:
    """A spatial axis: pixel q of `count` meets, at tap j of `taps`, pixel `origin + q*step + j*tap_step` of `size`.

    Tap j is number `kernel_first + j*kernel_step` of the kernel, pixel q is number `first + q*stride` of the result.
    """

    size: int
    count: int
    step: int
    origin: int
    taps: int
    tap_step: int
    kernel_first: int = 0
    kernel_step: int = 1
    first: int = 0
    stride: int = 1

    @property
    def pointwise(self) -> bool:
        """Whether each pixel meets only its own."""
        return (self.taps, self.step, self.origin, self.count) == (1, 1, 0, self.size)


POINT = Axis(1, 1, 1, 0, 1, 1)
"""An axis of a single pixel."""


def correlations(
    op: Contract, x: Sequence[int], kernel: Sequence[int], y: Sequence[int]
) -> Iterator[tuple[Axis, ...]]:
    """The axes of each correlation of a contraction; spatial sizes are given."""
    if op.role == "backward_data":
        yield from _backward(op, x, kernel, y)
    else:
        yield _forward(op, x, kernel, y)


def _forward(op: Contract, x: Sequence[int], kernel: Sequence[int], y: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of the correlation of x that gives y."""
    steps = zip(op.stride, op.pad, op.dilation, strict=True)
    return tuple(
        Axis(size, count, step, -lo, taps, dilation)
        for size, taps, count, (step, (lo, _), dilation) in zip(x, kernel, y, steps, strict=True)
    )


def _backward(
    op: Contract, x: Sequence[int], kernel: Sequence[int], y: Sequence[int]
) -> Iterator[tuple[Axis, ...]]:
    """The axes of the correlations of y that give x, one for each phase of the stride."""
    steps = zip(op.stride, op.pad, op.dilation, strict=True)
    axes = [
        [_phase(r, size, taps, count, step, lo, dilation) for r in range(min(step, size))]
        for size, taps, count, (step, (lo, _), dilation) in zip(x, kernel, y, steps, strict=True)
    ]
    yield from itertools.product(*axes)


def _phase(r: int, x: int, kernel: int, y: int, stride: int, lo: int, dilation: int) -> Axis:
    """The pixels r, r + stride, ... of x: tap k meets pixel (r + lo - k*dilation) / stride of y and those after."""
    hits = [k for k in range(min(kernel, stride)) if (r + lo - k * dilation) % stride == 0]
    count = -(-(x - r) // stride)
    if not hits:
        return Axis(y, count, 1, 0, 0, 1, first=r, stride=stride)
    every = stride // math.gcd(stride, dilation)
    taps = -(-(kernel - hits[0]) // every)
    origin = (r + lo - hits[0] * dilation) // stride
    return Axis(y, count, 1, origin, taps, -every * dilation // stride, hits[0], every, r, stride)
