"""Padding of maps: the rules for cells outside of a map, and the op `pad`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.axes import axes_setting, place_of, resolve_axes
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import number, one_of
from netdsl.ops.spatial import axis_name, padding, resolve_pads, spatial_rank, windows
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.contract import Pads
from netdsl.scalar import Expr, Index, Number, logical_and, where
from netdsl.source import counted

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap")
MODE_DOC = (
    "what lies there: zeros, constant (a number), reflect (d c b | a b c d | c b a), "
    "symmetric (c b a | a b c d | d c b), "
    "edge (a a a | a b c d | d d d) or wrap (b c d | a b c d | a b c)"
)
border_mode = one_of(*MODES)


def check_border(size: int, low: int, high: int, mode: str) -> None:
    """Raise ShapeError where a map is too small for a border that copies its cells."""
    most = {"reflect": size - 1, "symmetric": size, "edge": low + high, "wrap": size}[mode]
    if max(low, high) > most or not size:
        raise ShapeError(
            f"{mode} pads {counted(size, 'cell')} by at most {most}, not {max(low, high)}", setting="pad"
        )


def _indices(b: PrimitiveBuilder, size: int, low: int, high: int, mode: str) -> Value:
    """For each cell of a padded axis the cell that it copies; raises ShapeError when the map is too small."""
    check_border(size, low, high, mode)
    t = TensorType((low + size + high,), "i64")
    return b.table(t, lambda: np.pad(np.arange(size), (low, high), mode))  # type: ignore[call-overload]


def with_border(b: PrimitiveBuilder, x: Value, pads: Pads, mode: str, value: Number = 0.0) -> Value:
    """A tensor with its border; `pads` are those of the first axes behind the batch, the others have none."""
    shape = b.type(x).shape
    if not any(n for pair in pads for n in pair):
        return x
    if mode in ("zeros", "constant"):
        all_pads = ((0, 0), *pads, *((0, 0),) * (len(shape) - 1 - len(pads)))
        start = tuple(-lo for lo, _ in all_pads)
        y = b.slice(x, start, [n + lo + hi for n, (lo, hi) in zip(shape, all_pads, strict=True)])
        return y if value == 0 else b.map(lambda v: where(_inside(shape, pads), v, value), y)
    for axis, (lo, hi) in enumerate(pads, 1):
        if lo or hi:
            x = b.gather(x, _indices(b, shape[axis], lo, hi, mode), axis)
    return x


def _inside(shape: tuple[int, ...], pads: Pads) -> Expr:
    """Whether an element of the larger map is one of the operand."""
    tests = [
        logical_and(Index(axis) >= lo, Index(axis) < lo + n)
        for axis, (n, (lo, hi)) in enumerate(zip(shape[1:], pads, strict=False), 1)
        if lo or hi
    ]
    return functools.reduce(logical_and, tests)


@dataclass(frozen=True)
class Pad(LibraryOp):
    """A border around the map: `[*S, C] -> [*O, C]`.  NumPy's and ONNX' modes; PyTorch calls edge replicate.

    `axes` puts it elsewhere: `pad(((0, 8),), axes = -1)` adds 8 channels.
    """

    name: ClassVar[str] = "pad"
    positional: ClassVar[tuple[str, ...]] = ("pad",)
    pad: Any = setting(
        "cells on each side: a number, one number or (before, after) pair per axis", check=padding
    )
    mode: str = setting(MODE_DOC, "zeros", border_mode)
    value: float = setting("what constant puts there", 0.0, number)
    axes: tuple[int, ...] | None = setting(
        "axes that are padded, -1 is the channels; default: the spatial ones", None, axes_setting
    )

    def pads(self, x: TensorType) -> Pads:
        """Cells before and after each axis behind the batch."""
        over = self._over(x)
        if isinstance(self.pad, str):
            raise ShapeError(f"pad takes numbers, not {self.pad}", setting="pad")
        if self.value and self.mode != "constant":
            raise ShapeError(f"value is for mode = constant, not {self.mode}", setting="value")
        sizes, ones = tuple(x.shape[a] for a in over), (1,) * len(over)
        found = dict(zip(over, resolve_pads(self.pad, sizes, ones, ones, ones), strict=True))
        if self.mode not in ("zeros", "constant"):
            for axis, (lo, hi) in found.items():
                check_border(x.shape[axis], lo, hi, self.mode)
        return tuple(found.get(axis, (0, 0)) for axis in range(1, x.rank))

    def _outside(self, x: TensorType) -> Number:
        """What constant puts there, in the type of the operand."""
        if x.dtype == "f32":
            return self.value
        if (x.dtype == "bool" and self.value) or not self.value.is_integer():
            message = f"{x.words} are not padded with {self.value:g}"
            raise ShapeError(message, setting="value", hint="labels take whole numbers, conditions false")
        return int(self.value)

    def _over(self, x: TensorType) -> tuple[int, ...]:
        """The axes that are padded, as written."""
        if self.axes is None:
            return tuple(range(1, 1 + spatial_rank(self.name, x)))
        resolve_axes(self.axes, x.rank)
        return tuple(place_of(a, x.rank) for a in self.axes)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        self._outside(x)
        sizes = (n + lo + hi for n, (lo, hi) in zip(x.shape[1:], self.pads(x), strict=True))
        return (TensorType((x.shape[0], *sizes), x.dtype),)

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """What is put before and after each axis."""
        (x,), pads = types, self.pads(types[0])
        axes = ((axis_name(a, x.rank), x.shape[a], *pads[a - 1], result.shape[a]) for a in self._over(x))
        return [f"{name}: {n} + {lo} + {hi} = {o}" for name, n, lo, hi, o in axes]

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A copy of a larger box, or copies of rows."""
        (x,) = values
        return (with_border(b, x, self.pads(b.type(x)), self.mode, self._outside(b.type(x))),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The cell itself, moved; everything where the border copies cells from elsewhere."""
        pads = self.pads(types[0])[:-1]
        ones = (1,) * len(pads)
        return windows(ones, ones, ones, pads) if self.mode in ("zeros", "constant") else None

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """`Pad`, which has no symmetric mode."""
        if self.mode == "symmetric":
            return None
        pads = self.pads(types[0])
        ends = [0, *(lo for lo, _ in pads), 0, *(hi for _, hi in pads)]
        mode = "constant" if self.mode == "zeros" else self.mode
        if types[0].dtype == "bool":
            return (m.node("Pad", names[0], m.const(ends), mode=mode),)
        return (
            m.node("Pad", names[0], m.const(ends), m.const(np.array(self._outside(types[0]))), mode=mode),
        )

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        widths = ((0, 0), *self.pads(TensorType(x.shape)))
        if self.mode in ("zeros", "constant"):
            return (np.pad(x, widths, constant_values=self.value),)
        return (np.pad(x, widths, self.mode),)  # type: ignore[call-overload]

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Every mode, one to three axes, borders that are too wide."""
        modes = tuple(Sample(cls(((1, 2), (0, 3)), mode), ((2, 4, 5, 3),)) for mode in MODES)
        return (
            *modes,
            Sample(cls(1, "constant", -1.5), ((1, 3, 2, 9),)),
            Sample(cls(((0, 2), 0), "constant", 1e30), ((2, 3, 4, 2),), smooth=False),
            Sample(cls(2, "reflect"), ((2, 5, 3),)),
            Sample(cls((1, 0, 2)), ((1, 2, 3, 2, 2),)),
            Sample(cls(((0, 3),), axes=(-1,)), ((2, 3, 4, 2),)),
            Sample(cls((1, (2, 0)), "constant", -1.0, axes=(-1, 0)), ((2, 3, 2),)),
            Sample(cls(1, "edge", axes=(0,)), ((3, 5),)),
            Sample(cls(1, "constant", 255.0, axes=(0, 1)), ((2, 3, 4, 2),), integers={0: 9}, smooth=False),
            Sample(cls(1, axes=(0, 1)), ((2, 3, 4, 2),), integers={0: 9}, smooth=False),
            Sample(cls(1, axes=(0, 1)), ((2, 3, 4, 2),), booleans=(0,), smooth=False),
            Sample(
                cls(1, "constant", 0.5), ((2, 3, 4, 2),), integers={0: 9}, error="are not padded with 0.5"
            ),
            Sample(
                cls(1, "constant", 1.0, axes=(0,)), ((2, 3),), booleans=(0,), error="are not padded with 1"
            ),
            Sample(cls(1, axes=(4,)), ((1, 4, 5, 2),), error="are not different axes"),
            Sample(cls(4, "reflect"), ((1, 4, 5, 2),), error="reflect pads 4 cells by at most 3"),
            Sample(cls(2, "reflect"), ((1, 2**32, 1, 1),), error="reflect pads 1 cell by at most 0"),
            Sample(cls("same"), ((1, 4, 5, 2),), error="pad takes numbers"),
            Sample(cls(1, "edge", 2.0), ((1, 4, 5, 2),), error="value is for mode = constant"),
        )
