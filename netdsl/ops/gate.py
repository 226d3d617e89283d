"""Activations that multiply `x` by a gate of `x`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir import Sample, TensorType
from netdsl.ops.activation import Activation, softplus
from netdsl.ops.base import setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, positive_number
from netdsl.scalar import Expr, erf, maximum, minimum, sigmoid, tanh


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
            # (1 + tanh(u)) / 2 is sigmoid(2u), which keeps its digits to the left.  From 12 on it is 0 or 1, and x^3
            # may overflow.
            near = minimum(maximum(x, -12.0), 12.0)
            return x * sigmoid(math.sqrt(8 / math.pi) * (near + 0.044715 * (near * near * near)))
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
    """`x * sigmoid(x)`, swish with `beta = 1`.  Elfwing et al. 2017, Ramachandran et al. 2017."""

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
class Swish(Activation):
    """`x * sigmoid(beta * x)`, with a fixed `beta`.  Ramachandran et al. 2017."""

    name: ClassVar[str] = "swish"
    positional: ClassVar[tuple[str, ...]] = ("beta",)
    beta: float = setting("sharpness of the gate", 1.0, positive_number)

    def scalar(self, x: Expr) -> Expr:
        """A gate on itself."""
        return x * sigmoid(self.beta * x)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """Products, `Swish` is newer than the opset."""
        scaled = m.node("Mul", names[0], m.const(np.array(self.beta)))
        return (m.node("Mul", names[0], m.node("Sigmoid", scaled)),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """By tanh, which does not overflow."""
        (x,) = arrays
        return (0.5 * x * (1 + np.tanh(0.5 * self.beta * x)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """A sharper gate too."""
        return (*super().samples(), Sample(cls(1.702), ((2, 9),), low=-4.0, high=4.0))


@dataclass(frozen=True)
class HardSwish(Activation):
    """`x * min(max(x / 6 + 1/2, 0), 1)`.  MobileNet v3, Howard et al. 2019."""

    name: ClassVar[str] = "hard_swish"

    def scalar(self, x: Expr) -> Expr:
        """A clipped line as the gate."""
        return x * minimum(maximum(x * (1.0 / 6.0) + 0.5, 0.0), 1.0)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`HardSwish`."""
        return "HardSwish", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.clip`."""
        (x,) = arrays
        return (x * np.clip(x / 6 + 0.5, 0, 1),)


@dataclass(frozen=True)
class Mish(Activation):
    """`x * tanh(log(1 + exp(x)))`.  Misra 2019."""

    name: ClassVar[str] = "mish"

    def scalar(self, x: Expr) -> Expr:
        """A gate of softplus."""
        return x * tanh(softplus(x))

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Mish`."""
        return "Mish", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.logaddexp`."""
        (x,) = arrays
        return ((x * np.tanh(np.logaddexp(x, 0))).astype(x.dtype),)
