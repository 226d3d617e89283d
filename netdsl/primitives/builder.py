"""A builder with methods for the primitives, for the `expand` of ops and for gradient rules."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Sequence

from netdsl.arrays import Array, np
from netdsl.ir.builder import Builder
from netdsl.ir.graph import Value
from netdsl.ir.types import TensorType, broadcast_shapes
from netdsl.primitives.contract import Contract, Pads
from netdsl.primitives.gather import Gather
from netdsl.primitives.leaf import Const, Input
from netdsl.primitives.map import Map, prune
from netdsl.primitives.reduce import Reduce
from netdsl.primitives.slice import Concat, Reshape, Slice
from netdsl.primitives.transpose import Transpose
from netdsl.scalar import Arg, Expr, Uniform, as_expr

KEY = "random/key"
"""The input that random numbers are drawn with: no name in a text has a slash."""


def random_key(seed: int, step: int) -> Array:
    """What is fed to `key`: the seed in the high, the step in the low 32 bits."""
    return np.asarray((operator.index(seed) & 0x7FFFFFFF) << 32 | (step & 0xFFFFFFFF))


class PrimitiveBuilder(Builder):
    """Adds primitives; a function over scalars stands for the expression of a map or a reduce."""

    def const(self, value: Array | float | int | bool) -> Value:
        """A constant leaf."""
        return self.add1(Const(value))

    def table(self, t: TensorType, make: Callable[[], Array]) -> Value:
        """A constant array of type `t` that `make` makes; who counts what an op costs asks for the type alone."""
        return self.const(make())

    def map(self, function: Callable[..., Expr | float], *values: Value) -> Value:
        """`function` of the operands' elements: `b.map(lambda x, y: x + y, x, y)`."""
        return self.map_expr(as_expr(function(*(Arg(k) for k in range(len(values))))), *values)

    def map_expr(self, e: Expr, *values: Value, shape: tuple[int, ...] | None = None) -> Value:
        """A map with one result; an identity adds nothing."""
        if isinstance(e, Arg) and (shape is None or self.type(values[e.index]).shape == shape):
            return values[e.index]
        full = broadcast_shapes(*(self.type(v).shape for v in values))
        return self.add1(Map((e,), None if shape == full else shape), *values)

    def reduce(
        self,
        kind: str,
        function: Callable[..., Expr | float],
        *values: Value,
        axes: Sequence[int],
        keepdims: bool = False,
    ) -> Value:
        """`sum`, `max` or `min` of `function` of the elements over `axes` (negative: from the end)."""
        rank = max(self.type(v).rank for v in values)
        e = as_expr(function(*(Arg(k) for k in range(len(values)))))
        return self.reduce_expr(
            kind, e, *values, axes=tuple(sorted(a % rank for a in axes)), keepdims=keepdims
        )

    def reduce_expr(
        self,
        kind: str,
        e: Expr,
        *values: Value,
        axes: tuple[int, ...],
        keepdims: bool = False,
        shape: tuple[int, ...] | None = None,
    ) -> Value:
        """A reduce; operands that the expression does not use are dropped when the space stays the same."""
        full = broadcast_shapes(*(self.type(v).shape for v in values))
        space = full if shape is None else shape
        e, used = prune(e, values)
        own = broadcast_shapes(*(self.type(v).shape for v in used))
        return self.add1(Reduce(kind, e, axes, keepdims, None if own == space else space), *used)

    def sum(self, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        """The sum over axes."""
        return self.reduce("sum", lambda a: a, x, axes=axes, keepdims=keepdims)

    def mean(self, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        """The mean over axes."""
        shape = self.type(x).shape
        count = 1
        for a in axes:
            count *= shape[a]
        return self.reduce("sum", lambda a: a * (1.0 / count), x, axes=axes, keepdims=keepdims)

    def max(self, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        """The largest over axes."""
        return self.reduce("max", lambda a: a, x, axes=axes, keepdims=keepdims)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same elements under another shape; nothing is added when it is the same."""
        new = tuple(shape)
        return x if self.type(x).shape == new else self.add1(Reshape(new), x)

    def slice(self, x: Value, start: Sequence[int], shape: Sequence[int]) -> Value:
        """A block of `shape` from `start`."""
        rank = self.type(x).rank
        return self.add1(Slice(tuple(start), (1,) * rank, tuple(shape)), x)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """The axes in another order; a reshape where only axes of size 1 move, nothing when it is the same."""
        shape = self.type(x).shape
        moving = [a for a in order if shape[a] != 1]
        if moving == sorted(moving):
            return self.reshape(x, [shape[a] for a in order])
        return self.add1(Transpose(tuple(order)), x)

    def gather(self, x: Value, index: Value | Sequence[int], axis: int) -> Value:
        """Rows along an axis, 0 for indices outside; the index is a value, or numbers."""
        if not isinstance(index, Value):
            numbers = index
            index = self.table(TensorType((len(numbers),), "i64"), lambda: np.asarray(numbers, np.int64))
        return self.add1(Gather(axis % self.type(x).rank), x, index)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Side by side along `axis` (negative counts from the end)."""
        return self.add1(Concat(axis % self.type(values[0]).rank), *values)

    def convolve(
        self,
        x: Value,
        w: Value,
        stride: tuple[int, ...],
        pad: Pads,
        dilation: tuple[int, ...],
        groups: int = 1,
    ) -> Value:
        """The correlation of `x` `[N, *S, groups*C]` with the kernel `w` `[*K, C, groups*F]`."""
        return self.add1(Contract("forward", stride, pad, dilation, groups), x, w)

    def matmul(self, x: Value, w: Value) -> Value:
        """`[N, C] @ [C, F]`."""
        return self.add1(Contract("forward"), x, w)

    def key(self) -> Value:
        """The random key of the step, an i64 scalar input; see `random_key`."""
        if KEY not in self.nodes:
            self.add(Input(TensorType((), "i64")), name=KEY)
        return Value(KEY)

    def uniform(self, key: Expr, word: int = 0) -> Expr:
        """A uniform random scalar in [0, 1), independent for each node path: draw it inside a map."""
        return Uniform(zlib.crc32(self._prefix.encode()), key, word)
