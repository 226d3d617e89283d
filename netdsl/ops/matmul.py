"""`matmul`: the product of the matrices in two tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, ShapeError, TensorType, Value, broadcast_shapes
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean
from netdsl.primitives import Contract, PrimitiveBuilder
from netdsl.scalar import Arg
from netdsl.source import counted


@dataclass(frozen=True)
class MatMul(LibraryOp):
    """Products of matrices, `[..., M, K]` times `[..., K, F]`: `[..., M, F]`, one for each place of the axes before.

    Those axes agree or are 1, the batch among them.  Attention's queries times keys is `matmul(q, k, transpose_b =
    true)`.  NumPy matmul, TensorFlow matmul, ONNX MatMul.
    """

    name: ClassVar[str] = "matmul"
    operands: ClassVar[int | None] = 2
    transpose_a: bool = setting("the first operand is [..., K, M]", False, boolean)
    transpose_b: bool = setting("the second operand is [..., F, K]", False, boolean)

    def _matrices(self, types: Sequence[TensorType]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of both factors."""
        (m, k), (depth, f) = (t.shape[-2:] for t in types)
        return (k, m) if self.transpose_a else (m, k), (f, depth) if self.transpose_b else (depth, f)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The rows of the first, the columns of the second, the other axes broadcast."""
        for k, t in enumerate(types):
            if t.rank < 3 or t.dtype != "f32":
                raise ShapeError(f"matmul takes matrices [rows, columns], not {list(t.shape[1:])}", operand=k)
        a, b = types
        (rows, depth), (other, columns) = self._matrices(types)
        both = f"cannot matmul {list(a.shape[1:])} and {list(b.shape[1:])}"
        if depth != other:
            hint = f"did you mean transpose_b = {str(not self.transpose_b).lower()}?"
            message = f"{both}: {counted(depth, 'column')} and {counted(other, 'row')}"
            raise ShapeError(message, operand=1, hint=hint if depth == columns else None)
        try:
            if a.rank != b.rank:
                raise ValueError(f"rank {a.rank} is not rank {b.rank}")
            lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ShapeError(f"{both}: the axes before the matrices differ", operand=1) from None
        return (TensorType((*lead, rows, columns)),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One contraction, the products side by side as its groups."""
        (result,) = self.infer(*(b.type(v) for v in values))
        *lead, rows, columns = result.shape
        groups = math.prod(lead)

        def side_by_side(x: Value, turned: bool) -> Value:
            """`[..., R, C]` as `[R, groups * C]`."""
            matrix = b.type(x).shape[-2:]
            whole = b.map_expr(Arg(0), x, shape=(*lead, *matrix))
            moved = b.transpose(b.reshape(whole, (groups, *matrix)), (2, 0, 1) if turned else (1, 0, 2))
            first, *rest = b.type(moved).shape
            return b.reshape(moved, (first, math.prod(rest)))

        x, y = values
        sides = side_by_side(x, self.transpose_a), side_by_side(y, self.transpose_b)
        product = b.add1(Contract("forward", groups=groups), *sides)
        apart = b.transpose(b.reshape(product, (rows, groups, columns)), (1, 0, 2))
        return (b.reshape(apart, result.shape),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> None:
        """Everything: an element sees a row and a column."""

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """Rows, columns, and what is summed over."""
        (rows, depth), (_, columns) = self._matrices(types)
        kept = f"{counted(rows, 'row')} of the first, {counted(columns, 'column')} of the second"
        return [f"{kept}; the {depth} between are summed over"]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        rank = types[0].rank
        order = (*range(rank - 2), rank - 1, rank - 2)
        turned = zip(names, (self.transpose_a, self.transpose_b), strict=True)
        return (m.node("MatMul", *(m.transpose(x, order) if turn else x for x, turn in turned)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        turned = zip(arrays, (self.transpose_a, self.transpose_b), strict=True)
        a, b = (x.swapaxes(-1, -2) if turn else x for x, turn in turned)
        return (np.matmul(a, b),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One matrix, many, all four ways to turn them, repeated ones, vectors, what does not fit."""
        return (
            Sample(cls(), ((1, 5, 7), (1, 7, 3))),
            Sample(cls(), ((2, 3, 4, 5), (2, 3, 5, 17))),
            Sample(cls(transpose_b=True), ((2, 9, 4), (2, 6, 4))),
            Sample(cls(transpose_a=True), ((3, 4, 2), (3, 4, 5))),
            Sample(cls(True, True), ((2, 2, 4, 3), (2, 2, 5, 4))),
            Sample(cls(), ((2, 3, 4, 5), (2, 1, 5, 6))),
            Sample(cls(), ((2, 1, 6), (2, 6, 1))),
            Sample(cls(), ((2, 3, 1), (2, 1, 1))),
            Sample(
                cls(), ((2, 3, 4), (2, 5, 4)), error="cannot matmul [3, 4] and [5, 4]: 4 columns and 5 rows"
            ),
            Sample(cls(), ((2, 3, 4, 5), (2, 2, 5, 6)), error="the axes before the matrices differ"),
            Sample(cls(), ((2, 2, 4, 5), (2, 5, 6)), error="the axes before the matrices differ"),
            Sample(cls(), ((2, 4), (2, 4, 5)), error="takes matrices [rows, columns], not [4]"),
        )
