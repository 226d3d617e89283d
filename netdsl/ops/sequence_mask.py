"""`sequence_mask`: how many parts of a sample are there, as ones and zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Arg, Index, where


@dataclass(frozen=True)
class SequenceMask(LibraryOp):
    """1 for the first `count` of `length` places, 0 for the others: counts `[...] -> [..., length]`.

    For samples with different numbers of boxes or steps, padded to the longest: as the weights of a loss it leaves
    out what is padding, `iou(boxes, wanted, sequence_mask(count, 20))`.  TensorFlow sequence_mask.
    """

    name: ClassVar[str] = "sequence_mask"
    positional: ClassVar[tuple[str, ...]] = ("length",)
    takes_labels: ClassVar[bool] = True
    length: int = setting("number of places", check=positive)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        if x.dtype != "i64":
            raise ShapeError(f"sequence_mask takes counts, not {x.words}", operand=0)
        return (TensorType((*x.shape, self.length)),)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        (x,) = values
        shape = b.type(x).shape
        there = where(Index(len(shape)) < Arg(0), 1.0, 0.0)
        return (b.map_expr(there, b.reshape(x, (*shape, 1)), shape=(*shape, self.length)),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [f"channels: {self.length} places, as set"]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        counts = m.node("Unsqueeze", names[0], m.const((-1,)))
        there = m.node("Less", m.const(range(self.length)), counts)
        return (m.node("Where", there, m.const(np.array(1.0)), m.const(np.array(0.0))),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        return ((np.arange(self.length) < arrays[0][..., None]).astype(np.float64),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Counts of samples and of more, beyond the length, numbers."""
        return (
            Sample(cls(4), ((5,),), integers={0: 5}),
            Sample(cls(3), ((2, 3, 4),), integers={0: 6}),
            Sample(cls(3), ((2, 3),), error="sequence_mask takes counts"),
        )
