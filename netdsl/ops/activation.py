"""Activations of the whole line: a scalar expression each, on `Activation`, the base of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir import Sample, ShapeError, TensorType, Value
from netdsl.ops.base import LibraryOp, setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import number, positive_number
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, absolute, exp, log1p, maximum, minimum, sigmoid, tanh


@dataclass(frozen=True)
class Activation(LibraryOp):
    """Base: a scalar expression applied to every element."""

    scalars: ClassVar[bool] = True

    def scalar(self, x: Expr) -> Expr:
        """The activation of one element."""
        raise NotImplementedError(f"{self.name} has no expression")

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The same type."""
        (x,) = types
        if x.dtype != "f32":
            raise ShapeError(f"{self.name} takes numbers, not {x.words}", operand=0)
        return (x,)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map."""
        return (b.map(self.scalar, *values),)

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
class HardSigmoid(Activation):
    """`min(max(alpha * x + beta, 0), 1)`.  ONNX's defaults are 0.2 and 0.5, PyTorch's and MobileNet v3's alpha 1/6.

    The default is MobileNet's, Howard et al. 2019.
    """

    name: ClassVar[str] = "hard_sigmoid"
    alpha: float = setting("slope in the middle", 1.0 / 6.0, positive_number)
    beta: float = setting("value at zero", 0.5, number)

    def scalar(self, x: Expr) -> Expr:
        """A line, clipped."""
        return minimum(maximum(self.alpha * x + self.beta, 0.0), 1.0)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`HardSigmoid`."""
        return "HardSigmoid", {"alpha": self.alpha, "beta": self.beta}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.clip`."""
        return (np.clip(self.alpha * arrays[0] + self.beta, 0, 1),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """ONNX's slope too."""
        return (*super().samples(), Sample(cls(0.2), ((2, 9),), low=-4.0, high=4.0))


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
class Softsign(Activation):
    """`x / (1 + |x|)`.  Bergstra et al. 2009."""

    name: ClassVar[str] = "softsign"

    def scalar(self, x: Expr) -> Expr:
        """A quotient."""
        return x / (1.0 + absolute(x))

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Softsign`."""
        return "Softsign", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The definition."""
        return (arrays[0] / (1 + np.abs(arrays[0])),)


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


def logistic_loss(x: Expr, t: Expr) -> Expr:
    """`softplus(x) - x * t`, the cross entropy of `sigmoid(x)` and t, which keeps its digits where both are large."""
    return (0.5 * x + 0.5 * absolute(x) - x * t) + log1p(exp(-absolute(x)))


def softplus(x: Expr) -> Expr:
    """`log(1 + exp(x))` without overflow.

    The positive part is `(x + |x|) / 2` and not `max(x, 0)`: the symbolic derivative is then right at 0 too, where
    every logit of an untrained network may be.
    """
    return (0.5 * x + 0.5 * absolute(x)) + log1p(exp(-absolute(x)))
