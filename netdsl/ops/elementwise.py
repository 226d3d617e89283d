"""Functions of single elements that are no activations: powers, roots, exponentials, bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir import Sample, TensorType
from netdsl.ops.activation import Activation
from netdsl.ops.base import setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import number
from netdsl.scalar import Expr, absolute, exp, log, power, sqrt, stop_gradient, where


@dataclass(frozen=True)
class _Function(Activation):
    """Base: a function that ONNX and NumPy have under one name, on positive numbers in the tests."""

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """The op of this name."""
        return self.name.capitalize(), {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """NumPy's function of this name."""
        return (np.asarray(getattr(np, self.name)(arrays[0])),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Positive numbers."""
        return (
            Sample(cls(), ((2, 3, 4, 5),), low=0.1, high=5.0),
            Sample(cls(), ((3, 7),), low=0.1, high=2.0),
        )


@dataclass(frozen=True)
class Exp(_Function):
    """The exponential function `e^x`."""

    name: ClassVar[str] = "exp"

    def scalar(self, x: Expr) -> Expr:
        """`exp(x)`."""
        return exp(x)


@dataclass(frozen=True)
class Log(_Function):
    """The natural logarithm; NaN below 0."""

    name: ClassVar[str] = "log"

    def scalar(self, x: Expr) -> Expr:
        """`log(x)`."""
        return log(x)


@dataclass(frozen=True)
class Sqrt(_Function):
    """The square root; NaN below 0."""

    name: ClassVar[str] = "sqrt"

    def scalar(self, x: Expr) -> Expr:
        """`sqrt(x)`."""
        return sqrt(x)


@dataclass(frozen=True)
class Abs(_Function):
    """`|x|`; its derivative at 0 is 0."""

    name: ClassVar[str] = "abs"

    def scalar(self, x: Expr) -> Expr:
        """`|x|`."""
        return absolute(x)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Both signs."""
        return (Sample(cls(), ((2, 3, 4, 5),), low=-2.0, high=2.0),)


@dataclass(frozen=True)
class Power(Activation):
    """`x ^ exponent`, for a fixed exponent; NaN below 0 unless the exponent is whole."""

    name: ClassVar[str] = "power"
    positional: ClassVar[tuple[str, ...]] = ("exponent",)
    exponent: float = setting("the exponent", check=number)

    def scalar(self, x: Expr) -> Expr:
        """Products for small whole exponents."""
        return power(x, self.exponent)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`Pow`."""
        return (m.node("Pow", *names, m.const(np.array(self.exponent))),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.power`."""
        return (np.power(arrays[0], np.asarray(self.exponent, arrays[0].dtype)),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Whole, broken and negative exponents."""
        whole = tuple(Sample(cls(n), ((2, 3, 5),), low=-2.0, high=2.0) for n in (1.0, 2.0, 3.0))
        return (*whole, *(Sample(cls(n), ((2, 9),), low=0.3, high=3.0) for n in (-1.0, 0.75, 2.5)))


@dataclass(frozen=True)
class Clip(Activation):
    """`min(max(x, low), high)`; without one of them only the other side is clipped.  ONNX Clip, PyTorch clamp.

    The derivative at a bound is 1, as in PyTorch.
    """

    name: ClassVar[str] = "clip"
    positional: ClassVar[tuple[str, ...]] = ("low", "high")
    low: float | None = setting("smallest value", None, number)
    high: float | None = setting("largest value", None, number)

    def scalar(self, x: Expr) -> Expr:
        """Both bounds, or the one there is."""
        above = x if self.low is None else where(x < self.low, self.low, x)
        return above if self.high is None else where(above > self.high, self.high, above)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """`Clip`, whose bounds are inputs."""
        bounds = ("" if v is None else m.const(np.array(v)) for v in (self.low, self.high))
        return (m.node("Clip", *names, *bounds),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """`numpy.clip`."""
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        return (np.clip(arrays[0], low, high),)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """One side, both, none."""
        cases = (cls(-1.0, 2.0), cls(low=0.5), cls(high=0.25), cls())
        return tuple(Sample(op, ((2, 3, 4, 5),), low=-4.0, high=4.0) for op in cases)


@dataclass(frozen=True)
class StopGradient(Activation):
    """`x`, through which training learns nothing: its gradient is 0.  TensorFlow stop_gradient, PyTorch detach."""

    name: ClassVar[str] = "stop_gradient"

    def scalar(self, x: Expr) -> Expr:
        """`x`, for which differentiation knows no derivative."""
        return stop_gradient(x)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """`Identity`."""
        return "Identity", {}

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The operand."""
        return (arrays[0],)

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """No finite differences: the gradient is not that of the function, on purpose."""
        return tuple(Sample(cls(), shape, smooth=False) for shape in (((2, 3, 4, 5),), ((3, 7),)))
