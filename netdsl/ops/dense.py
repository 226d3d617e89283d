"""`dense`: every output unit sees every channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array
from netdsl.compat import override
from netdsl.ir import ParamSpec, Sample, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import Init, boolean, initializer, positive
from netdsl.primitives import PrimitiveBuilder
from netdsl.source import counted


@dataclass(frozen=True)
class Dense(LibraryOp):
    """A fully connected layer, `y = x W + b`: `[..., C] -> [..., units]`.

    `W` has shape `[C, units]`.  Keras Dense, PyTorch Linear (transposed), ONNX Gemm.
    """

    name: ClassVar[str] = "dense"
    positional: ClassVar[tuple[str, ...]] = ("units",)

    units: int = setting("number of outputs", check=positive)
    bias: bool = setting("whether to add a bias", True, boolean)
    init: Init = setting("initialiser of the weight", "auto", initializer)
    bias_init: Init = setting("initialiser of the bias", "zeros", initializer)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [C, units]` and `bias [units]`."""
        (x,) = data
        fan = (x.shape[-1], self.units)
        weight = ParamSpec("weight", fan, self.init, fan=fan)
        bias = ParamSpec("bias", (self.units,), self.bias_init, fan=fan, decay=False)
        return (weight, bias) if self.bias else (weight,)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The last axis becomes `units`."""
        x = types[0]
        self.check_channels(x)
        return (TensorType((*x.shape[:-1], self.units)),)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """A contraction over the channels and a bias."""
        x, w = values[:2]
        shape = b.type(x).shape
        y = b.matmul(b.reshape(x, (math.prod(shape[:-1]), shape[-1])), w)
        if self.bias:
            y = b.map(lambda a, c: a + c, y, values[2])
        return (b.reshape(y, (*shape[:-1], self.units)),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return [
            f"units: {result.shape[-1]}, as set; the sum is over {counted(types[0].shape[-1], 'channel')}"
        ]

    @override
    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        y = m.node("MatMul", *names[:2])
        return (m.node("Add", y, names[2]) if self.bias else y,)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        y = arrays[0] @ arrays[1]
        return (y + arrays[2] if self.bias else y,)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One and several positions, with and without bias, one unit, a scalar refused."""
        return (
            Sample(cls(5), ((3, 4),)),
            Sample(cls(1, bias=False), ((2, 7),)),
            Sample(cls(17), ((2, 3, 2, 9),)),
            Sample(cls(3), ((4,),), error="dense takes channels"),
        )
