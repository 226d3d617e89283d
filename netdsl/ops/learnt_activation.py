"""Activations with weights, and `maxout` over several channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, number, positive, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, maximum, where
from netdsl.source import counted

MAX_HINGES = 64
"""Hinges of `apl`: each brings two operands to its kernel."""


@dataclass(frozen=True)
class PRelu(LibraryOp):
    """`x` where positive, else `weight * x` with a learnt slope per channel, or one for all.  He et al. 2015."""

    name: ClassVar[str] = "prelu"
    positional: ClassVar[tuple[str, ...]] = ("slope",)
    slope: float = setting("initial slope", 0.25, number)
    shared: bool = setting("one slope for all channels (PyTorch's num_parameters = 1)", False, boolean)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [C]`, or `[1]` when shared."""
        shape = (1,) if self.shared else data[0].shape[-1:]
        return (ParamSpec("weight", shape, "constant", self.slope, decay=False),)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_channels(types[0])
        return (types[0],)

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        return (b.map(lambda x, w: where(x > 0.0, x, w * x), *values),)

    def published_flops(self, *types: TensorType) -> int:
        """A comparison and a product per element: the formula of He et al. 2015."""
        return 2 * types[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`PRelu`; its slope broadcasts from the right, over channels last."""
        return (m.node("PRelu", *names),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Positive part and scaled negative part."""
        x, w = arrays
        return (np.maximum(x, 0) + w * np.minimum(x, 0),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls(0.1), ((4, 3),)),
            Sample(cls(shared=True), ((2, 3, 4, 5),)),
        )


@dataclass(frozen=True)
class Apl(LibraryOp):
    """`max(x, 0) + sum of slope[s] * max(knot[s] - x, 0)`: adaptive piecewise linear units.  Agostinelli et al. 2014.

    Slopes and knots are learnt per channel, for `hinges` of them.
    """

    name: ClassVar[str] = "apl"
    positional: ClassVar[tuple[str, ...]] = ("hinges",)
    hinges: int = setting("number of hinges besides that at 0", 1, positive)
    std: float = setting("standard deviation of the initial slopes and knots", 0.1, positive_number)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`slope` and `knot`, both `[hinges, C]`."""
        shape = (self.hinges, data[0].shape[-1])
        init = f"normal({self.std})"
        return (ParamSpec("slope", shape, init), ParamSpec("knot", shape, init, decay=False))

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        self.check_channels(types[0])
        if self.hinges > MAX_HINGES:
            raise ShapeError(f"apl takes {MAX_HINGES} hinges at most, not {self.hinges}", setting="hinges")
        return (types[0],)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map over the operand and the rows of the params."""
        x, slope, knot = values
        channels = b.type(x).shape[-1]

        def rows(v: Value) -> list[Value]:
            cuts = (b.slice(v, (s, 0), (1, channels)) for s in range(self.hinges))
            return [b.reshape(cut, (channels,)) for cut in cuts]

        def element(v: Expr, *learnt: Expr) -> Expr:
            total = maximum(v, 0.0)
            for a, k in zip(learnt[: self.hinges], learnt[self.hinges :], strict=True):
                total = total + a * maximum(k - v, 0.0)
            return total

        return (b.map(element, x, *rows(slope), *rows(knot)),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, slope, knot = arrays
        return (np.maximum(x, 0) + sum(a * np.maximum(k - x, 0) for a, k in zip(slope, knot, strict=True)),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return (
            Sample(cls(), ((2, 3, 4, 5),)),
            Sample(cls(3), ((4, 3),)),
            Sample(cls(65), ((4, 3),), error="apl takes 64 hinges at most, not 65"),
        )


@dataclass(frozen=True)
class Maxout(LibraryOp):
    """The largest of each `pieces` neighbouring channels: `[*S, C] -> [*S, C / pieces]`.  Goodfellow et al. 2013."""

    name: ClassVar[str] = "maxout"
    positional: ClassVar[tuple[str, ...]] = ("pieces",)
    pieces: int = setting("channels that share one result", 2, positive)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Fewer channels."""
        (x,) = types
        self.check_channels(x)
        if x.shape[-1] % self.pieces:
            message = f"cannot split {counted(x.shape[-1], 'channel')} into pieces of {self.pieces}"
            raise ShapeError(message, setting="pieces")
        return (TensorType((*x.shape[:-1], x.shape[-1] // self.pieces)),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [f"channels: {types[0].shape[-1]} / {self.pieces} = {result.shape[-1]}"]

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The maximum over a last axis of pieces."""
        (x,) = values
        shape = b.type(x).shape
        return (b.max(b.reshape(x, (*shape[:-1], shape[-1] // self.pieces, self.pieces)), (-1,)),)

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        shape = types[0].shape
        split = m.node("Reshape", *names, m.const((*shape[:-1], shape[-1] // self.pieces, self.pieces)))
        return (m.node("ReduceMax", split, m.const((len(shape),)), keepdims=0),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The maximum of strided views."""
        (x,) = arrays
        return (np.maximum.reduce([x[..., k :: self.pieces] for k in range(self.pieces)]),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Two and three pieces, channels that do not split."""
        return (
            Sample(cls(), ((2, 3, 4, 6),)),
            Sample(cls(3), ((4, 9),)),
            Sample(cls(2), ((4, 9),), error="cannot split 9 channels"),
        )
