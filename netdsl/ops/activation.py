"""Activations: one line each, as a scalar expression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from netdsl.ir import ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ir.op import Array
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import (
    Arg,
    Expr,
    absolute,
    erf,
    exp,
    expm1,
    log1p,
    maximum,
    sigmoid,
    size,
    tanh,
    where,
)

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@dataclass(frozen=True)
class Activation(LibraryOp):
    """Base: a scalar expression applied to every element."""

    def scalar(self, x: Expr) -> Expr:
        """The activation of one element."""
        raise NotImplementedError(f"{self.name} has no expression")

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The same type."""
        (x,) = types
        if x.dtype != "f32":
            raise ShapeError(f"{self.name} takes numbers, not {x}", operand=0)
        return (x,)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map."""
        return (b.map(self.scalar, *values),)

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """The scalar operations of the expression, per element."""
        return types[0].size * size(self.scalar(Arg(0)))

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """The node of the same name, with attributes where the activation has settings."""
        op_type, attributes = self.onnx_node()
        return (m.node(op_type, *names, **attributes),)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """The ONNX op and its attributes."""
        raise NotImplementedError(f"{self.name} has no ONNX form")

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Two ranks and a wide range; labels refused by type elsewhere."""
        return (
            Sample(cls(), ((2, 3, 4, 5),), low=-4.0, high=4.0),
            Sample(cls(), ((3, 7),), low=-30.0, high=30.0, smooth=False),
        )


@dataclass(frozen=True)
class Identity(Activation):
    """`x`: a branch that does nothing."""

    name: ClassVar[str] = "identity"

    def scalar(self, x: Expr) -> Expr:
        """`x`."""
        return x

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Identity`."""
        return "Identity", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The operand."""
        return (arrays[0],)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """The logistic function `1 / (1 + exp(-x))`."""

    name: ClassVar[str] = "sigmoid"

    def scalar(self, x: Expr) -> Expr:
        """The logistic function."""
        return sigmoid(x)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Sigmoid`."""
        return "Sigmoid", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """By tanh, which does not overflow."""
        return (0.5 * (1 + np.tanh(0.5 * arrays[0])),)


@dataclass(frozen=True)
class Tanh(Activation):
    """The hyperbolic tangent."""

    name: ClassVar[str] = "tanh"

    def scalar(self, x: Expr) -> Expr:
        """`tanh(x)`."""
        return tanh(x)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Tanh`."""
        return "Tanh", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.tanh`."""
        return (np.tanh(arrays[0]),)


@dataclass(frozen=True)
class Relu(Activation):
    """`max(x, 0)`; its derivative at 0 is 0.  Nair and Hinton 2010."""

    name: ClassVar[str] = "relu"

    def scalar(self, x: Expr) -> Expr:
        """`max(x, 0)`."""
        return maximum(x, 0.0)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Relu`."""
        return "Relu", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.maximum`."""
        return (np.maximum(arrays[0], 0),)


@dataclass(frozen=True)
class LeakyRelu(Activation):
    """`x` where positive, else `negative_slope * x`.  Maas et al. 2013."""

    name: ClassVar[str] = "leaky_relu"
    positional: ClassVar[tuple[str, ...]] = ("negative_slope",)
    negative_slope: float = setting("slope left of zero", 0.01, number)

    def scalar(self, x: Expr) -> Expr:
        """Two slopes."""
        return where(x > 0.0, x, self.negative_slope * x)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`LeakyRelu`."""
        return "LeakyRelu", {"alpha": self.negative_slope}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Positive part and negative part."""
        (x,) = arrays
        return (np.maximum(x, 0) + self.negative_slope * np.minimum(x, 0),)


@dataclass(frozen=True)
class Elu(Activation):
    """`x` where positive, else `alpha * (exp(x) - 1)`.  Clevert et al. 2015."""

    name: ClassVar[str] = "elu"
    positional: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: float = setting("the limit to the left is -alpha", 1.0, number)

    def scalar(self, x: Expr) -> Expr:
        """Linear, then exponential."""
        return where(x > 0.0, x, self.alpha * expm1(x))

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Elu`."""
        return "Elu", {"alpha": self.alpha}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Positive part and bent negative part."""
        (x,) = arrays
        return (np.maximum(x, 0) + self.alpha * (np.exp(np.minimum(x, 0)) - 1),)


@dataclass(frozen=True)
class Selu(Activation):
    """`scale * elu(x, alpha)` with the self-normalising constants.  Klambauer et al. 2017."""

    name: ClassVar[str] = "selu"

    def scalar(self, x: Expr) -> Expr:
        """A scaled ELU."""
        return where(x > 0.0, SELU_SCALE * x, (SELU_SCALE * SELU_ALPHA) * expm1(x))

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Selu`."""
        return "Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Positive part and bent negative part, scaled."""
        (x,) = arrays
        return (SELU_SCALE * (np.maximum(x, 0) + SELU_ALPHA * (np.exp(np.minimum(x, 0)) - 1)),)


@dataclass(frozen=True)
class Softplus(Activation):
    """`log(1 + exp(x))`, computed without overflow.  Dugas et al. 2001."""

    name: ClassVar[str] = "softplus"

    def scalar(self, x: Expr) -> Expr:
        """The positive part, plus a correction."""
        return softplus(x)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Softplus`."""
        return "Softplus", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.logaddexp`."""
        return (np.logaddexp(arrays[0], 0).astype(arrays[0].dtype),)


@dataclass(frozen=True)
class Gelu(Activation):
    """`x * Phi(x)` with the normal distribution function Phi.  Hendrycks and Gimpel 2016.

    `approximate` uses their tanh formula.
    """

    name: ClassVar[str] = "gelu"
    approximate: bool = setting("use the tanh formula", False, boolean)

    def scalar(self, x: Expr) -> Expr:
        """Exact by erf, or the tanh formula."""
        if self.approximate:
            return 0.5 * x * (1.0 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
        return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Gelu`."""
        return "Gelu", {"approximate": "tanh" if self.approximate else "none"}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Element by element with `math.erf`, or the tanh formula."""
        (x,) = arrays
        if self.approximate:
            return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
        phi = [0.5 * (1 + math.erf(float(v) / math.sqrt(2))) for v in x.ravel()]
        return (x * np.array(phi, x.dtype).reshape(x.shape),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both formulas."""
        return (*super().samples(), Sample(cls(approximate=True), ((2, 9),), low=-4.0, high=4.0))


@dataclass(frozen=True)
class Silu(Activation):
    """`x * sigmoid(x)`, also called swish.  Elfwing et al. 2017, Ramachandran et al. 2017."""

    name: ClassVar[str] = "silu"

    def scalar(self, x: Expr) -> Expr:
        """A gate on itself."""
        return x * sigmoid(x)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """A product, `Swish` is newer than the opset."""
        return (m.node("Mul", names[0], m.node("Sigmoid", names[0])),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """By tanh, which does not overflow."""
        (x,) = arrays
        return (0.5 * x * (1 + np.tanh(0.5 * x)),)


@dataclass(frozen=True)
class PRelu(LibraryOp):
    """`x` where positive, else `weight * x` with one learnt slope per channel.  He et al. 2015."""

    name: ClassVar[str] = "prelu"
    positional: ClassVar[tuple[str, ...]] = ("slope",)
    slope: float = setting("initial slope", 0.25, number)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """`weight [C]`."""
        return (ParamSpec("weight", data[0].shape[-1:], "constant", self.slope, decay=False),)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The same type."""
        if types[0].rank < 2:
            raise ShapeError(f"prelu takes channels, not {types[0]}", operand=0)
        return (types[0],)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map."""
        return (b.map(lambda x, w: where(x > 0.0, x, w * x), *values),)

    def macs(self, *types: TensorType) -> int:
        """None."""
        return 0

    def flops(self, *types: TensorType) -> int:
        """A comparison and a product per element."""
        return 2 * types[0].size

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`PRelu`; its slope broadcasts from the right, over channels last."""
        return (m.node("PRelu", *names),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Positive part and scaled negative part."""
        x, w = arrays
        return (np.maximum(x, 0) + w * np.minimum(x, 0),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Maps and vectors."""
        return (Sample(cls(), ((2, 3, 4, 5),)), Sample(cls(0.1), ((4, 3),)))


def softplus(x: Expr) -> Expr:
    """`log(1 + exp(x))` without overflow.

    The positive part is `(x + |x|) / 2` and not `max(x, 0)`: the symbolic derivative is then right at 0 too, where
    every logit of an untrained network may be.
    """
    return (0.5 * x + 0.5 * absolute(x)) + log1p(exp(-absolute(x)))
