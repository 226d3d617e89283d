"""Ops that cut tensors into parts and put parts together: `crop`, `slice`, `split`, `stack`, `gather`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.limits import MAX_LOOP
from netdsl.ops.axes import axes_setting, place_of
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import integer, positive
from netdsl.ops.spatial import axis_name, axis_names, padding, resolve_pads, spatial_rank, windows
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.contract import Pads
from netdsl.source import counted


@dataclass(frozen=True)
class Crop(LibraryOp):
    """Cells cut off at the border of a map: `[*S, C] -> [*O, C]`.  Keras Cropping1D..3D."""

    name: ClassVar[str] = "crop"
    positional: ClassVar[tuple[str, ...]] = ("cells",)
    cells: Any = setting(
        "cells on each side: a number, one number or (before, after) pair per axis", check=padding
    )

    def pads(self, x: TensorType) -> Pads:
        """Cells cut off before and after each axis."""
        ones = (1,) * spatial_rank(self.name, x)
        if isinstance(self.cells, str):
            raise ShapeError(f"crop takes numbers, not {self.cells}", setting="cells")
        return resolve_pads(self.cells, x.shape[1:-1], ones, ones, ones)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        spatial = tuple(n - lo - hi for n, (lo, hi) in zip(x.shape[1:-1], self.pads(x), strict=True))
        if any(n < 1 for n in spatial):
            raise ShapeError(f"crop leaves nothing of {list(x.shape[1:])}", operand=0)
        return (TensorType((x.shape[0], *spatial, x.shape[-1])),)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """What is cut off before and after each axis."""
        axes = zip(
            axis_names(result.rank - 2),
            types[0].shape[1:],
            self.pads(types[0]),
            result.shape[1:],
            strict=False,
        )
        return [f"{name}: {n} - {lo} - {hi} = {o}" for name, n, (lo, hi), o in axes]

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        start = (0, *(lo for lo, _ in self.pads(b.type(x))), 0)
        return (b.slice(x, start, self.infer(b.type(x))[0].shape),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cell itself, moved."""
        pads = self.pads(types[0])
        ones = (1,) * len(pads)
        return windows(ones, ones, ones, tuple((-lo, 0) for lo, _ in pads))

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        pads, (y,) = self.pads(types[0]), self.infer(*types)
        starts = [lo for lo, _ in pads]
        ends = [lo + n for lo, n in zip(starts, y.shape[1:-1], strict=True)]
        axes = list(range(1, 1 + len(pads)))
        return (m.node("Slice", names[0], m.const(starts), m.const(ends), m.const(axes)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        axes = zip(x.shape[1:-1], self.pads(TensorType(x.shape)), strict=True)
        return (x[(slice(None), *(slice(lo, n - hi) for n, (lo, hi) in axes))],)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Even and uneven borders, nothing left."""
        return (
            Sample(cls(1), ((2, 5, 4, 3),)),
            Sample(cls(((1, 0), (0, 2))), ((1, 3, 5, 2),)),
            Sample(cls((2,)), ((2, 7, 3),)),
            Sample(cls(2), ((1, 4, 5, 2),), error="crop leaves nothing"),
        )


@dataclass(frozen=True)
class Slice(LibraryOp):
    """Elements `start` up to, not including, `stop` of one axis, every `step`-th.  NumPy's rules; ONNX Slice."""

    name: ClassVar[str] = "slice"
    positional: ClassVar[tuple[str, ...]] = ("start", "stop")
    start: int = setting("first element; negative counts from the end", check=integer)
    stop: int | None = setting("one past the last element; default: the end", None, integer)
    step: int = setting("distance between elements", 1, positive)
    axis: int = setting("axis of the shape without the batch; -1 is the channels", -1, integer)

    def chosen(self, x: TensorType) -> tuple[int, range]:
        """The axis, and the elements along it."""
        at = place_of(self.axis, x.rank)
        return at, range(*slice(self.start, self.stop, self.step).indices(x.shape[at]))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Fewer elements along the axis."""
        (x,) = types
        at, kept = self.chosen(x)
        if not kept:
            raise ShapeError(f"slice leaves nothing of {list(x.shape[1:])}", operand=0)
        return (TensorType((*x.shape[:at], len(kept), *x.shape[at + 1 :]), x.dtype),)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """The steps between the first element and the end."""
        at, kept = self.chosen(types[0])
        return [
            f"{axis_name(at, result.rank)}: ceil(({kept.stop} - {kept.start}) / {kept.step}) = {len(kept)}"
        ]

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A box, with gaps when there is a step."""
        (x,) = values
        at, kept = self.chosen(b.type(x))
        shape = self.infer(b.type(x))[0].shape
        if kept.step > 1:
            return (b.gather(x, kept, at),)
        return (b.slice(x, tuple(kept.start if k == at else 0 for k in range(len(shape))), shape),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...]:
        """The cell itself, moved along a spatial axis."""
        at, kept = self.chosen(types[0])
        dims = types[0].rank - 2
        return tuple(
            Reach(stride=kept.step, pad=-kept.start) if k + 1 == at else Reach() for k in range(dims)
        )

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        at, kept = self.chosen(types[0])
        numbers = ((kept.start,), (kept.stop,), (at,), (kept.step,))
        return (m.node("Slice", names[0], *(m.const(n) for n in numbers)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        front = (slice(None),) * place_of(self.axis, x.ndim)
        return (x[(*front, slice(self.start, self.stop, self.step))],)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and rows, from the end, with steps, nothing left."""
        return (
            Sample(cls(1, 3), ((2, 3, 4, 5),)),
            Sample(cls(-2), ((3, 9),)),
            Sample(cls(0, None, 2), ((2, 3, 7),)),
            Sample(cls(1, None, 2, axis=0), ((2, 5, 4, 3),)),
            Sample(cls(0, -1, axis=1), ((1, 3, 4, 2),)),
            Sample(cls(5), ((2, 3, 4, 5),), error="slice leaves nothing"),
            Sample(cls(0, axis=3), ((2, 3, 4, 5),), error="there is no axis 3"),
        )


@dataclass(frozen=True)
class Split(LibraryOp):
    """Equal parts along an axis, as several results: `a, b = x -> split(2)`.  ONNX Split, PyTorch chunk."""

    name: ClassVar[str] = "split"
    positional: ClassVar[tuple[str, ...]] = ("parts",)
    parts: int = setting("how many", check=positive)
    axis: int = setting("axis of the shape without the batch; -1 is the channels", -1, integer)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many results as parts."""
        (x,) = types
        at = place_of(self.axis, x.rank)
        if self.parts > MAX_LOOP:
            raise ShapeError(f"split makes {MAX_LOOP} parts at most, not {self.parts}", setting="parts")
        if x.shape[at] % self.parts:
            raise ShapeError(f"{x.shape[at]} does not split into {self.parts} equal parts", setting="parts")
        return (
            TensorType((*x.shape[:at], x.shape[at] // self.parts, *x.shape[at + 1 :]), x.dtype),
        ) * self.parts

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        at = place_of(self.axis, result.rank)
        return [f"{axis_name(at, result.rank)}: {types[0].shape[at]} / {self.parts} = {result.shape[at]}"]

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        at, parts = place_of(self.axis, b.type(x).rank), self.infer(b.type(x))
        size = parts[0].shape[at]
        starts = ([k * size if a == at else 0 for a in range(len(t.shape))] for k, t in enumerate(parts))
        return tuple(b.slice(x, start, t.shape) for start, t in zip(starts, parts, strict=True))

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        at = place_of(self.axis, types[0].rank)
        size = types[0].shape[at] // self.parts
        bounds = ((m.const((k * size,)), m.const(((k + 1) * size,))) for k in range(self.parts))
        return tuple(m.node("Slice", names[0], a, z, m.const((at,))) for a, z in bounds)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return tuple(np.split(arrays[0], self.parts, place_of(self.axis, arrays[0].ndim)))

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and rows, parts that are not equal."""
        return (
            Sample(cls(2), ((2, 3, 4, 6),)),
            Sample(cls(3, axis=0), ((1, 6, 2),)),
            Sample(cls(4), ((2, 3, 6),), error="does not split into 4 equal parts"),
            Sample(cls(2**32), ((1, 2**32),), error="split makes 100000 parts at most"),
        )


@dataclass(frozen=True)
class Stack(LibraryOp):
    """Operands of one shape along a new axis.  `numpy.stack`, PyTorch stack."""

    name: ClassVar[str] = "stack"
    operands: ClassVar[int | None] = None
    axis: int = setting("place of the new axis in the shape without the batch; -1 is the last", -1, integer)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if not types:
            raise ShapeError("stack takes one or more operands, not 0")
        first = types[0]
        at = place_of(self.axis, first.rank + 1)
        for k, t in enumerate(types):
            if t != first:
                raise ShapeError(f"cannot stack {list(first.shape[1:])} and {list(t.shape[1:])}", operand=k)
        return (TensorType((*first.shape[:at], len(types), *first.shape[at:]), first.dtype),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [
            f"axis {place_of(self.axis, result.rank) - 1}: a new one for {counted(len(types), 'operand')}"
        ]

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        shape = b.type(values[0]).shape
        at = place_of(self.axis, len(shape) + 1)
        return (b.concat([b.reshape(v, (*shape[:at], 1, *shape[at:])) for v in values], at),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything, since the axes change."""

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        at = place_of(self.axis, types[0].rank + 1)
        parts = [m.node("Unsqueeze", name, m.const((at,))) for name in names]
        return (m.node("Concat", *parts, axis=at),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.stack(arrays, place_of(self.axis, arrays[0].ndim + 1)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """In front, behind, shapes that differ."""
        return (
            Sample(cls(), ((2, 3, 4), (2, 3, 4))),
            Sample(cls(0), ((2, 5), (2, 5), (2, 5))),
            Sample(cls(), ((2, 3), (2, 4)), error="cannot stack [3] and [4]"),
        )


@dataclass(frozen=True)
class Gather(LibraryOp):
    """Elements of one axis by their numbers, in any order, some more than once.  ONNX Gather, `numpy.take`."""

    name: ClassVar[str] = "gather"
    positional: ClassVar[tuple[str, ...]] = ("indices",)
    indices: tuple[int, ...] = setting(
        "numbers of the elements; negative ones count from the end", check=axes_setting
    )
    axis: int = setting("axis of the shape without the batch; -1 is the channels", -1, integer)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """As many elements as indices."""
        (x,) = types
        at = place_of(self.axis, x.rank)
        for k in self.indices:
            if not -x.shape[at] <= k < x.shape[at]:
                message = f"there is no element {k} among {x.shape[at]}"
                raise ShapeError(message, setting="indices")
        return (TensorType((*x.shape[:at], len(self.indices), *x.shape[at + 1 :]), x.dtype),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [
            f"{axis_name(place_of(self.axis, result.rank), result.rank)}: {counted(len(self.indices), 'index')}"
        ]

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        at = place_of(self.axis, b.type(x).rank)
        return (b.gather(x, [k % b.type(x).shape[at] for k in self.indices], at),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The cell itself; everything where cells change places."""
        over_channels = place_of(self.axis, result.rank) == result.rank - 1
        return super().reach(types, result) if over_channels else None

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        at = place_of(self.axis, types[0].rank)
        return (m.node("Gather", names[0], m.const(self.indices), axis=at),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        return (np.take(x, self.indices, place_of(self.axis, x.ndim)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and rows, repeated, from the end, one that is not there."""
        return (
            Sample(cls((0, 2, 2, 1)), ((2, 3, 4, 3),)),
            Sample(cls((-1, 0), axis=0), ((1, 4, 3, 2),)),
            Sample(cls((3,)), ((3, 5),)),
            Sample(cls((0, 3)), ((2, 3),), error="there is no element 3 among 3"),
        )
