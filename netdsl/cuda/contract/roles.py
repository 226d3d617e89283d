"""The roles of a contraction as products of matrices: what is a row, a column and a term, and where they lie.

| role | a row of the result | a column | a term of the sum | rows of a | columns of b |
|---|---|---|---|---|---|
| forward | pixel of y | feature | tap and channel | pixels of x | kernel |
| backward_data | pixel of x | channel | tap and feature | pixels of y | kernel |
| backward_weights | tap and channel | feature | pixel of y | pixels of x | pixels of y |

Role "backward_data" is one product for each phase of the stride.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl.cuda.codegen.nest import divisor_values
from netdsl.cuda.contract.finish import Box, Ending, ending
from netdsl.cuda.contract.geometry import POINT, Axis, backward, forward
from netdsl.cuda.contract.index import Index
from netdsl.cuda.contract.product import WIDTH, Operand
from netdsl.primitives import Contract
from netdsl.schedule import Layout, View

LEAST_AXES = 2
"""Spatial axes of a kernel that is no product of matrices in memory: one source for 1-D and 2-D."""


@dataclass(frozen=True)
class Work:
    """A product of matrices for each group, `views` its operands, and the end of it."""

    title: str
    a: Operand
    b: Operand
    views: tuple[View, View]
    rows: int
    columns: int
    terms: int
    groups: int
    values: dict[str, int]
    ending: Ending


def works(op: Contract, operands: Sequence[View], result: View) -> Iterator[Work]:
    """The products of matrices of a contraction; every element of the result is of one of them."""
    order = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}[op.role]
    views = (*operands[:2], result)
    x, kernel, y = (views[k] for k in order)
    sizes = x.shape[1:-1], kernel.shape[:-2], y.shape[1:-1]
    title = _title(op, x, kernel, y)
    if op.role == "backward_data":
        for axes in backward(op, *sizes):
            yield _Correlation(title, op, axes, operands, result, y).backward_data(kernel)
    elif op.role == "forward":
        yield _Correlation(title, op, forward(op, *sizes), operands, result, x).forward(kernel)
    else:
        yield _Correlation(title, op, forward(op, *sizes), operands, result, x).backward_weights(y)


def _title(op: Contract, x: View, kernel: View, y: View) -> str:
    """A short name for profiles, such as `contract forward 3x3 64->128 @ 28x28`."""
    taps, pixels = ("x".join(map(str, sizes)) for sizes in (kernel.shape[:-2], y.shape[1:-1]))
    groups = f" in {op.groups} groups" if op.groups > 1 else ""
    at = f" @ {pixels}" if pixels else ""
    return f"contract {op.role} {taps}{' ' if taps else ''}{x.shape[-1]}->{y.shape[-1]}{groups}{at}"


class _Correlation:
    """Makes the product of a correlation of a source; `values` grow with the index maps that are asked for."""

    def __init__(
        self,
        title: str,
        op: Contract,
        axes: Sequence[Axis],
        operands: Sequence[View],
        result: View,
        source: View,
    ) -> None:
        self.title, self.op, self.operands, self.result, self.source = title, op, operands, result, source
        self.own = tuple(axes)
        self.flat = source.layout is not Layout.STRIDED and all(a.pointwise for a in axes)
        self.axes = (*[POINT] * (LEAST_AXES - len(axes)), *axes)
        self.channels = source.shape[-1] // op.groups
        self.pixels = source.shape[0] * math.prod(a.count for a in axes)
        self.taps = math.prod(a.taps for a in axes)
        self.values: dict[str, int] = {}

    def forward(self, kernel: View) -> Work:
        """A pixel of the source at the taps times the kernel as it lies in memory."""
        features = kernel.shape[-1] // self.op.groups
        a = Operand("a", self._pixels("a_row"), self._taps("a_term"), _wide(self.source, self.channels))
        b = Operand(
            "b", Index("b_column", "unit"), self._linear("b_term", kernel.shape[-1]), _wide(kernel, features)
        )
        self.values |= {"a_group": self.channels, "b_group": features}
        return self._work(a, b, kernel, self.pixels, features, self.taps * self.channels)

    def backward_data(self, kernel: View) -> Work:
        """A pixel of the source at the taps of this phase times the kernel, channels along the columns."""
        width, channels = kernel.shape[-1], kernel.shape[-2]
        if self.flat:
            ones = [1] * len(self.own)
            kernel = kernel.sliced(
                [*(x.kernel_first for x in self.own), 0, 0], [*ones, 1, 1], [*ones, channels, width]
            )
        a = Operand("a", self._pixels("a_row"), self._taps("a_term"), _wide(self.source, self.channels))
        term = Index("b_term", "unit") if self.flat else self._kernel_taps("b_term", kernel)
        b = Operand("b", self._linear("b_column", width), term, _wide(kernel, self.channels))
        self.values |= {"a_group": self.channels, "b_group": self.channels}
        return self._work(a, b, kernel, self.pixels, channels, self.taps * self.channels)

    def backward_weights(self, y: View) -> Work:
        """What the pixels of the source meet at a tap times the pixels of y."""
        features = y.shape[-1] // self.op.groups
        a = Operand("a", self._taps("a_row"), self._pixels("a_term"), _wide(self.source, self.channels))
        term = self._linear("b_term", y.pitch // y.item)
        b = Operand("b", Index("b_column", "unit"), term, _wide(y, features))
        self.values |= {"a_group": self.channels, "b_group": features}
        return self._work(a, b, y, self.taps * self.channels, features, self.pixels)

    def _work(self, a: Operand, b: Operand, other: View, rows: int, columns: int, terms: int) -> Work:
        op, shape = self.op, self.result.shape
        box = Box((0,) * len(shape), (1,) * len(shape), shape)
        if op.role == "backward_data":
            first, step, count = (
                zip(*((x.first, x.stride, x.count) for x in self.own), strict=True) if self.own else ((),) * 3
            )
            box = Box((0, *first, 0), (1, *step, 1), (shape[0], *count, shape[-1]))
        end = ending(op.epilogue, self.operands[2:], self.result, box)
        views = (self.source, other)
        return Work(self.title, a, b, views, rows, columns, terms, op.groups, self.values, end)

    def _linear(self, name: str, stride: int) -> Index:
        self.values[f"{name}_stride"] = stride
        return Index(name, "linear")

    def _pixels(self, name: str) -> Index:
        """The pixels of the result, each at what its tap 0 meets."""
        if self.flat:
            return self._linear(name, self.source.pitch // self.source.item)
        values, strides = self.values, self._strides(self.source, 1)
        values[f"{name}_image"] = self.source.strides[0] // self.source.item
        values[f"{name}_start"] = sum(a.origin * s for a, s in zip(self.axes, strides, strict=True))
        for k, (a, s) in enumerate(zip(self.axes, strides, strict=True)):
            values |= {f"{name}_stride{k}": a.step * s, f"bound{k}": a.size}
            values |= {
                f"pixels_step{k}": a.step,
                f"pixels_origin{k}": a.origin,
                **divisor_values(f"pixels{k}", a.count),
            }
        return Index(name, "pixels", len(self.axes), True)

    def _taps(self, name: str) -> Index:
        """The taps and the channels of the source at each."""
        if self.flat:
            return Index(name, "unit")
        strides = self._strides(self.source, 1)
        for k, a in enumerate(self.axes):
            self.values[f"taps_step{k}"] = a.tap_step
        return self._over_taps(
            name, [a.tap_step * s for a, s in zip(self.axes, strides, strict=True)], 0, True
        )

    def _kernel_taps(self, name: str, kernel: View) -> Index:
        """The taps of this phase in the kernel, and the features at each."""
        strides = self._strides(kernel, 0)
        start = sum(a.kernel_first * s for a, s in zip(self.axes, strides, strict=True))
        steps = [a.kernel_step * s for a, s in zip(self.axes, strides, strict=True)]
        return self._over_taps(name, steps, start, False)

    def _over_taps(self, name: str, strides: Sequence[int], start: int, bounded: bool) -> Index:
        self.values |= {f"{name}_start": start, **divisor_values("channels", max(1, self.channels))}
        for k, (a, s) in enumerate(zip(self.axes, strides, strict=True)):
            self.values[f"{name}_stride{k}"] = s
            if k:
                self.values |= divisor_values(f"taps{k}", max(1, a.taps))
        return Index(name, "taps", len(self.axes), bounded)

    def _strides(self, view: View, first: int) -> list[int]:
        """The elements from pixel to pixel along each spatial axis of a view, the first of which is axis `first`."""
        found = [s // view.item for s in view.strides[first : first + len(self.own)]]
        return [0] * (len(self.axes) - len(found)) + found


def _wide(view: View, channels: int) -> bool:
    """Whether four channels can be read at once wherever a group begins."""
    unit = WIDTH * view.item
    steps = (s for n, s in zip(view.shape[:-1], view.strides[:-1], strict=True) if n > 1)
    return channels % WIDTH == 0 and view.offset % unit == 0 and all(s % unit == 0 for s in steps)
