"""`upsample` and `resize`: maps of another size, interpolated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, one_of
from netdsl.ops.spatial import axis_names, per_axis, sizes, spatial_rank
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, cast_float, maximum, minimum

MODES = ("nearest", "bilinear")


@dataclass(frozen=True)
class Sampling:
    """Where the cells of the result lie in the operand: cell k at `(first + k * step) / unit`, exactly."""

    first: int
    step: int
    unit: int

    @classmethod
    def of(cls, size: int, out: int, align_corners: bool) -> Sampling:
        """Half-pixel centres, or corners on corners."""
        if align_corners:
            return cls(0, size - 1, out - 1) if out > 1 else cls(0, 0, 1)
        return cls(size - out, 2 * size, 2 * out)

    def neighbours(self, size: int, out: int) -> tuple[Array, Array]:
        """For each cell of the result the cell of the operand before it and the one behind it, both inside."""
        low = np.clip((self.first + self.step * np.arange(out)) // self.unit, 0, max(size - 2, 0))
        return low, np.minimum(low + 1, size - 1)


def _chosen(b: PrimitiveBuilder, size: int, out: int) -> Value:
    """For each cell of the result the cell of the operand that it copies."""
    return b.table(TensorType((out,), "i64"), lambda: np.arange(out) * size // out)


@dataclass(frozen=True)
class _Resize(LibraryOp):
    """Base: interpolation along one axis after the other.

    `nearest` takes cell floor(k * in / out), as PyTorch; `bilinear` mixes the two nearest cells along each axis, of
    which there may be one to three, with half-pixel centres, or with `align_corners` the end cells on each other.
    """

    mode: str = setting("nearest or bilinear", "nearest", one_of(*MODES))
    align_corners: bool = setting("bilinear: the corners lie on each other", False, boolean)

    def out_size(self, x: TensorType) -> tuple[int, ...]:
        """The spatial size of the result."""
        raise NotImplementedError(f"{self.name} has no size")

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        if self.align_corners and self.mode == "nearest":
            raise ShapeError("align_corners is for mode = bilinear", setting="align_corners")
        return (TensorType((x.shape[0], *self.out_size(x), x.shape[-1])),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """Rows taken, two at a time where they are mixed."""
        (x,) = values
        for axis, out in enumerate(self.out_size(b.type(x)), 1):
            size = b.type(x).shape[axis]
            if size == out:
                continue
            if self.mode == "nearest":
                x = b.gather(x, _chosen(b, size, out), axis)
            else:
                x = self._mixed(b, x, axis, out)
        return (x,)

    def _mixed(self, b: PrimitiveBuilder, x: Value, axis: int, out: int) -> Value:
        shape = b.type(x).shape
        line = Sampling.of(shape[axis], out, self.align_corners)
        origin, step = line.first / line.unit, line.step / line.unit

        def element(v: Expr, w: Expr, cell: Expr) -> Expr:
            place = minimum(maximum(origin + step * cast_float(Index(axis)), 0.0), float(shape[axis] - 1))
            share = place - cast_float(cell)
            return (1.0 - share) * v + share * w

        t = TensorType((out,), "i64")
        low = b.table(t, lambda: line.neighbours(shape[axis], out)[0])
        high = b.table(t, lambda: line.neighbours(shape[axis], out)[1])
        cells = b.reshape(low, (out, *(1,) * (len(shape) - axis - 1)))
        return b.map(element, b.gather(x, low, axis), b.gather(x, high, axis), cells)

    def _place(self, cell: int, size: int, out: int) -> Fraction:
        """Where a cell of the result lies: half-pixel centres, or corners on corners."""
        if self.align_corners:
            return Fraction(cell * (size - 1), max(out - 1, 1))
        return (cell + Fraction(1, 2)) * Fraction(size, out) - Fraction(1, 2)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cell at a place, or those on both sides of it."""
        axes = zip(types[0].shape[1:-1], result.shape[1:-1], strict=True)
        if self.mode == "nearest":
            return tuple(_reach(Sampling(0, n, out), "before") for n, out in axes)
        return tuple(_reach(Sampling.of(n, out, self.align_corners), "both") for n, out in axes)

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        rank, (y,) = types[0].rank, self.infer(*types)
        how = {"coordinate_transformation_mode": "align_corners" if self.align_corners else "half_pixel"}
        if self.mode == "nearest":
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        size = m.const((y.shape[0], y.shape[-1], *y.shape[1:-1]))
        mode = "nearest" if self.mode == "nearest" else "linear"
        first = m.channels_first(names[0], rank)
        return (m.channels_last(m.node("Resize", first, "", "", size, mode=mode, **how), rank),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """A matrix of weights per axis."""
        (x,) = arrays
        for axis, out in enumerate(self.out_size(TensorType(x.shape)), 1):
            matrix = np.zeros((out, x.shape[axis]), x.dtype)
            if self.mode == "nearest":
                matrix[np.arange(out), [math.floor(Fraction(k * x.shape[axis], out)) for k in range(out)]] = 1
            else:
                for k in range(out):
                    place = self._place(k, x.shape[axis], out)
                    for cell in range(math.floor(place), math.floor(place) + 2):
                        inside = min(max(cell, 0), x.shape[axis] - 1)
                        matrix[k, inside] += max(0.0, 1.0 - abs(float(place - cell)))
            x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
        return (x,)


def _reach(line: Sampling, between: Literal["before", "both"]) -> Reach:
    common = math.gcd(line.first, line.step, line.unit)
    first, step, unit = (n // common for n in (line.first, line.step, line.unit))
    return Reach(stride=step, pad=-first, unit=unit, between=between)


@dataclass(frozen=True)
class Upsample(_Resize):
    """A map `scale` times as large: `[*S, C] -> [*S * scale, C]`.  PyTorch Upsample, Keras UpSampling2D.

    `nearest` repeats cells, `bilinear` mixes the two nearest along each axis.
    """

    name: ClassVar[str] = "upsample"
    positional: ClassVar[tuple[str, ...]] = ("scale", "mode")
    scale: int | tuple[int, ...] = setting("how many times larger, or one number per axis", 2, sizes)

    @override
    def out_size(self, x: TensorType) -> tuple[int, ...]:
        scale = per_axis("scale", self.scale, spatial_rank(self.name, x))
        return tuple(n * s for n, s in zip(x.shape[1:-1], scale, strict=True))

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        scale = per_axis("scale", self.scale, result.rank - 2)
        axes = zip(axis_names(result.rank - 2), types[0].shape[1:-1], scale, result.shape[1:-1], strict=True)
        return [f"{name}: {n} * {s} = {o}" for name, n, s, o in axes]

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both modes, 1-D to 3-D, a scale per axis."""
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls(mode="bilinear"), ((2, 3, 4, 5),)),
            Sample(cls(mode="bilinear", align_corners=True), ((1, 3, 4, 9),)),
            Sample(cls(scale=(1, 3)), ((1, 3, 4, 2),)),
            Sample(cls(scale=4, mode="bilinear"), ((2, 5, 3),)),
            Sample(cls(), ((1, 2, 3, 2, 2),)),
            Sample(cls(align_corners=True), ((1, 3, 4, 2),), error="align_corners is for"),
        )


@dataclass(frozen=True)
class Resize(_Resize):
    """A map of a given size: `[*S, C] -> [*size, C]`.  ONNX Resize, PyTorch interpolate.

    `nearest` takes the cell a place lies in, `bilinear` mixes the two nearest along each axis.
    """

    name: ClassVar[str] = "resize"
    positional: ClassVar[tuple[str, ...]] = ("size", "mode")
    size: int | tuple[int, ...] = setting("the new spatial size", 1, sizes)

    @override
    def out_size(self, x: TensorType) -> tuple[int, ...]:
        return per_axis("size", self.size, spatial_rank(self.name, x))

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        axes = zip(axis_names(result.rank - 2), types[0].shape[1:-1], result.shape[1:-1], strict=True)
        return [f"{name}: {n} becomes {o}, as set" for name, n, o in axes]

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Larger, smaller, one cell, both modes."""
        return (
            Sample(cls(size=(7, 5)), ((2, 3, 4, 5),)),
            Sample(cls(size=(2, 3)), ((2, 5, 7, 3),)),
            Sample(cls(size=(7, 3), mode="bilinear"), ((2, 3, 5, 2),)),
            Sample(cls(size=(5, 9), mode="bilinear", align_corners=True), ((1, 3, 4, 9),)),
            Sample(cls(size=6, mode="bilinear"), ((2, 1, 1, 3),)),
            Sample(cls(size=(4,)), ((2, 9, 3),)),
            Sample(cls(size=(4, 4, 4)), ((2, 9, 9, 3),), error="size has 3 entries"),
        )
