"""`yolo_decode`: the head of YOLO, as boxes and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.boxes import along, check_map
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import positive_number, two_positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, cast_float, exp, sigmoid, where
from netdsl.source import counted


def _shapes(value: Any) -> tuple[tuple[float, ...], ...]:
    """Pairs of a width and a height."""
    if not isinstance(value, (tuple, list)) or not value:
        raise ValueError(f"must be a list of pairs (width, height), not {value!r}")
    return tuple(two_positive(v) for v in value)


@dataclass(frozen=True)
class YoloDecode(LibraryOp):
    """Boxes, objectness and classes of YOLO's head: `[H, W, A * (5 + K)] -> [H * W * A, 5 + K]`.

    Each anchor of a cell has tx, ty, tw, th, an objectness and K class scores, before the sigmoid.  The box has its
    centre at `(cell + sigmoid(t)) * stride`, the size `anchor * exp(t)`, and comes out as x1, y1, x2, y2; the others
    as probabilities.  Boxes come cell by cell, rows first.  Redmon and Farhadi 2018 (YOLOv3).
    """

    name: ClassVar[str] = "yolo_decode"
    positional: ClassVar[tuple[str, ...]] = ("anchors", "stride")
    anchors: tuple[tuple[float, ...], ...] = setting(
        "pairs of a width and a height, in pixels", check=_shapes
    )
    stride: float = setting("pixels from cell to cell", check=positive_number)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The channels of each anchor in a row of its own."""
        n, height, width, channels = check_map(self.name, types[0])
        count = len(self.anchors)
        if channels % count or channels // count < 5:
            message = (
                f"channels are 5 and one per class for each of {counted(count, 'anchor')}, not {channels}"
            )
            raise ShapeError(message, operand=0)
        return (TensorType((n, height * width * count, channels // count)),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A map for the boxes, one for the probabilities."""
        n, height, width, channels = b.type(values[0]).shape
        count, (y,) = len(self.anchors), self.infer(b.type(values[0]))
        x = b.reshape(values[0], (n, height, width, count, channels // count))

        def element(place: Expr, scale: Expr, size: Expr) -> Expr:
            cell = cast_float(along(Index(2), Index(1), 4))
            centre, half = (cell + sigmoid(place)) * self.stride, 0.5 * size * exp(scale)
            return where(Index(4) < 2, centre - half, centre + half)

        sizes = b.table(TensorType((count, 4)), lambda: np.array(self.anchors)[:, [0, 1, 0, 1]])
        boxes = b.map(element, b.gather(x, (0, 1, 0, 1), -1), b.gather(x, (2, 3, 2, 3), -1), sizes)
        rest = b.slice(x, (0, 0, 0, 0, 4), (n, height, width, count, channels // count - 4))
        return (b.reshape(b.concat([boxes, b.map(sigmoid, rest)], -1), y.shape),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything, since the axes change."""

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """Cells times anchors, and what each has."""
        _, height, width, channels = types[0].shape
        count = len(self.anchors)
        return [
            f"boxes: {height} x {width} cells x {counted(count, 'anchor')} = {result.shape[1]}",
            f"of each: {channels} / {count} = 4 + 1 + {counted(result.shape[2] - 5, 'class')}",
        ]

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """Sigmoid, `Exp` and constants for cells and anchors."""
        (n, height, width, channels), (y,) = types[0].shape, self.infer(*types)
        count = len(self.anchors)
        x = m.node("Reshape", names[0], m.const((n, height, width, count, channels // count)))
        cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)[:, :, None].astype(float)

        def part(first: int, last: int) -> str:
            return m.node("Slice", x, m.const((first,)), m.const((last,)), m.const((4,)))

        centre = m.node("Add", m.node("Sigmoid", part(0, 2)), m.const(cells))
        centre = m.node("Mul", centre, m.const(np.array(self.stride)))
        half = m.node("Mul", m.node("Exp", part(2, 4)), m.const(0.5 * np.array(self.anchors)))
        rest = m.node("Sigmoid", part(4, channels // count))
        corners = m.node("Sub", centre, half), m.node("Add", centre, half)
        return (m.node("Reshape", m.node("Concat", *corners, rest, axis=4), m.const(y.shape)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        (y,) = self.infer(TensorType(x.shape))
        out = np.empty(y.shape, x.dtype)
        _, height, width, _ = x.shape
        for place, (i, j, a) in enumerate(np.ndindex(height, width, len(self.anchors))):
            t = x.reshape(*x.shape[:3], len(self.anchors), -1)[:, i, j, a]
            centre = (np.array([j, i]) + 1 / (1 + np.exp(-t[:, :2]))) * self.stride
            size = np.array(self.anchors[a]) * np.exp(t[:, 2:4])
            corners = (centre - size / 2, centre + size / 2)
            out[:, place] = np.concatenate([*corners, 1 / (1 + np.exp(-t[:, 4:]))], axis=-1)
        return (out,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """With and without classes; channels that do not fit."""
        return (
            Sample(cls(((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)), 8.0), ((2, 3, 4, 24),)),
            Sample(cls(((5.0, 5.0),), 16.0), ((1, 2, 5, 5),)),
            Sample(
                cls(((5.0, 5.0), (9.0, 7.0)), 16.0), ((1, 2, 5, 15),), error="for each of 2 anchors, not 15"
            ),
            Sample(cls(((5.0, 5.0),), 16.0), ((2, 5, 5),), error="takes maps [H, W, C]"),
        )
