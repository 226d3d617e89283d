"""`top_k`: the largest elements and their indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl import primitives
from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.axes import place_of
from netdsl.ops.base import LibraryOp, Reach, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import integer, positive
from netdsl.ops.spatial import axis_name
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Index


@dataclass(frozen=True)
class TopK(LibraryOp):
    """The `k` largest elements along an axis in falling order, and their indices: `values, indices = x -> top_k(5)`.

    Of equal elements the lower index comes first; a NaN counts as the largest.  The gradient of a value goes to the
    element it is.  TensorFlow top_k, PyTorch topk, ONNX TopK.
    """

    name: ClassVar[str] = "top_k"
    positional: ClassVar[tuple[str, ...]] = ("k",)
    k: int = setting("how many", check=positive)
    axis: int = setting("axis of the shape without the batch; -1 is the channels", -1, integer)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Values and indices, `k` along the axis."""
        (x,) = types
        self.check_numbers(x)
        at = place_of(self.axis, x.rank)
        if self.k > x.shape[at]:
            name = axis_name(at, x.rank)
            raise ShapeError(
                f"there are no {self.k} elements along {name} of {list(x.shape[1:])}", setting="k"
            )
        shape = (*x.shape[:at], self.k, *x.shape[at + 1 :])
        return TensorType(shape), TensorType(shape, "i64")

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The places of the largest in each row, and what is there."""
        (x,) = values
        shape = b.type(x).shape
        at, size = place_of(self.axis, len(shape)), b.type(x).size
        order = (*(a for a in range(len(shape)) if a != at), at)
        n, others = shape[at], tuple(shape[a] for a in order[:-1])
        rows = b.reshape(b.transpose(x, order), (math.prod(others), n))
        indices = b.add1(primitives.TopK(self.k), rows)
        found = b.gather(b.reshape(rows, (size,)), b.map(lambda i: Index(0) * n + i, indices), 0)
        back = tuple(order.index(a) for a in range(len(shape)))
        one, two = (b.transpose(b.reshape(v, (*others, self.k)), back) for v in (found, indices))
        return one, two

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        shape = types[0].shape
        at = place_of(self.axis, len(shape))
        return [f"{axis_name(at, len(shape))}: the {self.k} largest of {shape[at]}"]

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """The cell itself where the channels are searched, else everything."""
        alone = place_of(self.axis, result.rank) == result.rank - 1
        return (Reach(),) * (result.rank - 2) if alone else None

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        at = place_of(self.axis, types[0].rank)
        return m.nodes("TopK", 2, *names, m.const((self.k,)), axis=at)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """A stable sort of the negated elements."""
        (x,) = arrays
        at = place_of(self.axis, x.ndim)
        indices = np.argsort(-x, axis=at, kind="stable").take(range(self.k), at)
        return np.take_along_axis(x, indices, at), indices

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Channels and rows, all of them, ties, too many, an axis that is not there."""
        return (
            Sample(cls(3), ((2, 10),)),
            Sample(cls(2), ((2, 3, 4, 5),)),
            Sample(cls(4, axis=0), ((2, 7, 3),)),
            Sample(cls(2, axis=1), ((1, 3, 5, 2),)),
            Sample(cls(6), ((2, 3, 6),)),
            Sample(cls(1), ((2, 3, 6),)),
            Sample(cls(3), ((2, 7),), low=0.5, high=0.5, smooth=False),
            Sample(cls(6), ((2, 3, 5),), error="there are no 6 elements along channels of [3, 5]"),
            Sample(cls(1, axis=2), ((2, 3, 5),), error="there is no axis 2"),
        )
