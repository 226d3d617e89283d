"""The index maps of a correlation, with the arguments of their parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdsl.cuda.codegen.nest import divisor_values
from netdsl.cuda.contract.geometry import POINT, Axis
from netdsl.cuda.contract.index import Index
from netdsl.schedule import View

LEAST_AXES = 2
"""Spatial axes of a kernel that is no product of matrices in memory: one source for 1-D and 2-D."""


class Maps:
    """Index maps into the source of a correlation; `values` grow with the maps that are asked for.

    `channels` are those that a term runs over at each tap.  `flat` says that pixels and terms are rows and columns of
    a matrix as it lies in memory.
    """

    def __init__(self, axes: Sequence[Axis], source: View, channels: int, flat: bool) -> None:
        self.axes = (*[POINT] * (LEAST_AXES - len(axes)), *axes)
        self.source, self.channels, self.flat = source, channels, flat
        self.pixels = source.shape[0] * math.prod(a.count for a in axes)
        self.taps = math.prod(a.taps for a in axes)
        self.values: dict[str, int] = {}

    def pixels_at(self, name: str) -> Index:
        """The pixels of the result, each at what its tap 0 meets."""
        if self.flat:
            return self.linear(name, self.source.pitch // self.source.item)
        values, strides = self.values, self.strides(self.source, 1)
        values[f"{name}_image"] = self.source.strides[0] // self.source.item
        values[f"{name}_start"] = sum(a.origin * s for a, s in zip(self.axes, strides, strict=True))
        for k, (a, s) in enumerate(zip(self.axes, strides, strict=True)):
            values |= {
                f"{name}_stride{k}": a.step * s,
                f"bound{k}": a.size,
                **divisor_values(f"pixels{k}", a.count),
            }
            values |= {f"pixels_step{k}": a.step, f"pixels_origin{k}": a.origin}
        return Index(name, "pixels", len(self.axes), True)

    def taps_at(self, name: str) -> Index:
        """The taps and the channels of the source at each."""
        if self.flat:
            return Index(name, "unit")
        self.values |= {f"taps_step{k}": a.tap_step for k, a in enumerate(self.axes)}
        strides = self.strides(self.source, 1)
        return self._taps(name, [a.tap_step * s for a, s in zip(self.axes, strides, strict=True)], 0, True)

    def kernel_at(self, name: str, kernel: View) -> Index:
        """The taps of the correlation in the kernel, and its last axis at each."""
        strides = self.strides(kernel, 0)
        start = sum(a.kernel_first * s for a, s in zip(self.axes, strides, strict=True))
        return self._taps(
            name, [a.kernel_step * s for a, s in zip(self.axes, strides, strict=True)], start, False
        )

    def linear(self, name: str, stride: int) -> Index:
        """Elements that are a stride apart."""
        self.values[f"{name}_stride"] = stride
        return Index(name, "linear")

    def strides(self, view: View, first: int) -> list[int]:
        """The elements from pixel to pixel along each spatial axis of a view, the first of which is axis `first`."""
        own = len(view.shape) - 2
        return [0] * (len(self.axes) - own) + [s // view.item for s in view.strides[first : first + own]]

    def _taps(self, name: str, strides: Sequence[int], start: int, bounded: bool) -> Index:
        self.values |= {f"{name}_start": start, **divisor_values("channels", max(1, self.channels))}
        self.values |= {f"{name}_stride{k}": s for k, s in enumerate(strides)}
        for k, a in enumerate(self.axes[1:], 1):
            self.values |= divisor_values(f"taps{k}", max(1, a.taps))
        return Index(name, "taps", len(self.axes), bounded)
