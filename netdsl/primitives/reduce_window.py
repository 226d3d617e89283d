"""`reduce_window` and `reduce_window_grad`: the largest or the average of each window, and the adjoint."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType
from netdsl.primitives.first import first_place, place_along, value_at
from netdsl.scalar import Arg, eq, logical_and

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder

Cut = tuple[slice, ...]


@dataclass(frozen=True)
class Windows(Op):
    """Geometry of windows over the spatial axes of `[N, *S, C]`, one entry per spatial axis.

    `kind` is "max" (padding never wins) or "avg".  `overhang` are cells after the right padding that a size
    rounded up reaches (PyTorch's ceil_mode): they never count.  `include_pad` says whether the padding counts
    in the divisor of an average.
    """

    kind: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    overhang: tuple[int, ...]
    include_pad: bool = True

    def out_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Number of windows per axis; raises ShapeError when a window does not fit."""
        out = []
        for s, k, step, (lo, hi), d, over in zip(
            spatial, self.size, self.stride, self.pad, self.dilation, self.overhang, strict=True
        ):
            room = s + lo + hi + over - (k - 1) * d - 1
            if room < 0:
                raise ShapeError(f"a window of {(k - 1) * d + 1} does not fit into {s} + {lo} + {hi}", 0)
            out.append(room // step + 1)
        return tuple(out)

    def check(self, t: TensorType) -> None:
        """Raise ShapeError unless `t` is `f32[N, *S, C]` with the right number of spatial axes."""
        if self.kind not in ("max", "avg"):
            raise ShapeError(f"no window is called {self.kind}")
        steps, cells = (*self.size, *self.stride, *self.dilation), (n for pair in self.pad for n in pair)
        if any(s < 1 for s in steps) or any(n < 0 for n in (*cells, *self.overhang)):
            raise ShapeError("windows take sizes, strides and dilations from 1, pads and overhang from 0")
        if t.rank != len(self.size) + 2 or t.dtype != "f32":
            raise ShapeError(f"windows of rank {len(self.size)} do not fit {t}", operand=0)

    def cuts(self, out: tuple[int, ...]) -> Iterator[Cut]:
        """For each cell of the window, in row-major order, the part of the padded input it visits."""
        for tap in itertools.product(*map(range, self.size)):
            start = [t * d for t, d in zip(tap, self.dilation, strict=True)]
            yield (
                slice(None),
                *(slice(a, a + (o - 1) * s + 1, s) for a, o, s in zip(start, out, self.stride, strict=True)),
            )

    def padded(self, x: Array, fill: float) -> Array:
        """The input within its padding and overhang."""
        widths = [(lo, hi + over) for (lo, hi), over in zip(self.pad, self.overhang, strict=True)]
        return np.pad(x, ((0, 0), *widths, (0, 0)), constant_values=fill)

    def counts(self, spatial: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """The divisor of each average, shape `[1, *O, 1]`."""
        inside = np.ones((1, *spatial, 1), dtype)
        if self.include_pad:
            inside = np.pad(inside, ((0, 0), *self.pad, (0, 0)), constant_values=1)
            inside = np.pad(inside, ((0, 0), *((0, over) for over in self.overhang), (0, 0)))
        else:
            inside = self.padded(inside, 0)
        return np.asarray(sum(inside[cut] for cut in self.cuts(self.out_size(spatial))))


@dataclass(frozen=True)
class ReduceWindow(Windows):
    """`[N, *S, C] -> [N, *O, C]`: one number per window and channel."""

    name: ClassVar[str] = "reduce_window"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many windows as fit."""
        (x,) = types
        self.check(x)
        return (TensorType((x.shape[0], *self.out_size(x.shape[1:-1]), x.shape[-1])),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Largest or average over shifted views."""
        (x,) = arrays
        out = self.out_size(x.shape[1:-1])
        padded = self.padded(x, -np.inf if self.kind == "max" else 0.0)
        views = [padded[cut] for cut in self.cuts(out)]
        if self.kind == "max":
            return (np.maximum.reduce(views),)
        return (np.asarray(sum(views)) / self.counts(x.shape[1:-1], x.dtype),)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """`reduce_window_grad` with the same geometry."""
        (g,) = grads
        assert g is not None
        op = ReduceWindowGrad(
            self.kind,
            self.size,
            self.stride,
            self.pad,
            self.dilation,
            self.overhang,
            self.include_pad,
            b.type(inputs[0]).shape[1:-1],
        )
        operands = (inputs[0], outputs[0], g) if self.kind == "max" else (g,)
        return [b.add1(op, *operands)]


@dataclass(frozen=True)
class ReduceWindowGrad(Windows):
    """The adjoint: operands (x, y, dy) for max, (dy,) for avg; `input` is the spatial size of the result.

    For max the gradient goes to the first cell, in row-major order, that attains the maximum, as in PyTorch.
    """

    name: ClassVar[str] = "reduce_window_grad"
    input: tuple[int, ...] = ()

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        g = types[-1]
        self.check(g)
        if len(types) != (3 if self.kind == "max" else 1) or self.out_size(self.input) != g.shape[1:-1]:
            raise ShapeError(f"the gradient of windows over {list(self.input)} is not {g}")
        x = TensorType((g.shape[0], *self.input, g.shape[-1]))
        if self.kind == "max" and types[:2] != (x, g):
            raise ShapeError(f"max windows over {x} do not fit {types[0]} and {types[1]}")
        return (x,)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Scatter each window's gradient back, tap by tap."""
        g = arrays[-1]
        out = self.padded(np.zeros((g.shape[0], *self.input, g.shape[-1]), g.dtype), 0.0)
        if self.kind == "avg":
            share = g / self.counts(self.input, g.dtype)
            for cut in self.cuts(g.shape[1:-1]):
                out[cut] += share
        else:
            x, open_ = self.padded(arrays[0], np.nan), np.ones(g.shape, np.bool_)
            for cut in self.cuts(g.shape[1:-1]):
                hit = open_ & (x[cut] == arrays[1])
                out[cut] += np.where(hit, g, 0)
                open_ &= ~hit
        crop = [slice(lo, lo + s) for (lo, _), s in zip(self.pad, self.input, strict=True)]
        return (out[(slice(None), *crop)],)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """Windows again; for max what arrives at the cells that attain the maxima: a small change moves none."""
        (g,) = grads
        assert g is not None
        if self.kind == "avg":
            geometry = {f.name: getattr(self, f.name) for f in dataclasses.fields(Windows)}
            return [b.add1(ReduceWindow(**geometry), g)]
        x, y, _ = inputs
        n, *spatial, c = b.type(y).shape
        cells = b.const(self.cells(tuple(spatial)))
        count, taps = b.type(cells).shape
        seen, arrived = (b.gather(b.reshape(v, (n, math.prod(self.input), c)), cells, 1) for v in (x, g))
        best, known = b.reshape(y, (n, count, 1, c)), b.reshape(cells, (1, count, taps, 1))
        place, axes = place_along((2,), (taps,)), (2,)
        hit = logical_and(eq(Arg(0), Arg(1)), Arg(2) >= 0)
        first = first_place(b, hit, (seen, best, known), place, axes)
        return [None, None, b.reshape(value_at(b, arrived, first, place, axes), b.type(y).shape)]

    def cells(self, out: tuple[int, ...]) -> Array:
        """The cell of the input that each window `out` sees at each place, `[windows, places]`; -1 outside of it."""
        found = np.zeros((1, 1), np.int64)
        axes = zip(out, self.size, self.stride, self.pad, self.dilation, self.input, strict=True)
        for o, k, step, (lo, _), d, size in axes:
            at = np.arange(o)[:, None] * step + np.arange(k) * d - lo
            whole = np.where((at >= 0) & (at < size), at, -1)
            both = found[:, None, :, None] * size + whole[None, :, None, :]
            both = np.where((found[:, None, :, None] < 0) | (whole[None, :, None, :] < 0), -1, both)
            found = both.reshape(found.shape[0] * o, found.shape[1] * k)
        return found
