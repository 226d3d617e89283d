"""The functions of float32 that expressions are made of: what a device must write, and what follows from it.

Values are LLVM's, scalars or vectors; a method takes and gives those of one type.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from llvmlite import ir

from netdsl.native.emit import Emitter, Value


class Functions(ABC):
    """The functions in one kernel.  Denormal numbers are kept, infinities and NaN go where C99 sends them."""

    def __init__(self, e: Emitter) -> None:
        self.e, self.b = e, e.b

    @abstractmethod
    def exp(self, x: Value) -> Value:
        """e^x."""

    @abstractmethod
    def expm1(self, x: Value) -> Value:
        """e^x - 1."""

    @abstractmethod
    def log(self, x: Value) -> Value:
        """The natural logarithm."""

    @abstractmethod
    def log1p(self, x: Value) -> Value:
        """log(1 + x)."""

    @abstractmethod
    def sin(self, x: Value) -> Value:
        """The sine."""

    @abstractmethod
    def cos(self, x: Value) -> Value:
        """The cosine."""

    @abstractmethod
    def tanh(self, x: Value) -> Value:
        """The hyperbolic tangent."""

    @abstractmethod
    def erf(self, x: Value) -> Value:
        """The error function."""

    @abstractmethod
    def pow(self, x: Value, y: Value) -> Value:
        """x^y."""

    @abstractmethod
    def to_i64(self, x: Value, kind: ir.Type) -> Value:
        """The integer towards zero, of type `kind`; saturates, NaN is 0."""

    # --- one instruction -------------------------------------------------------------------------

    def negate(self, x: Value) -> Value:
        """-x."""
        return self.b.fneg(x)

    def absolute(self, x: Value) -> Value:
        """|x|."""
        return self.e.math("fabs", x)

    def sqrt(self, x: Value) -> Value:
        """The square root."""
        return self.e.math("sqrt", x)

    def floor(self, x: Value) -> Value:
        """The integer below."""
        return self.e.math("floor", x)

    def ceil(self, x: Value) -> Value:
        """The integer above."""
        return self.e.math("ceil", x)

    def round(self, x: Value) -> Value:
        """The nearest integer, the even one of two."""
        return self.e.math("rint", x)

    # --- what follows ----------------------------------------------------------------------------

    def const(self, like: Value, value: float) -> Value:
        """The same number in every lane of a value of the type of `like`."""
        return self.e.constant(like.type, value)

    def poly(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Horner's rule, highest power first."""
        total = self.const(x, coefficients[0])
        for c in coefficients[1:]:
            total = self.e.fma(total, x, self.const(x, c))
        return total

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        """Select by lane."""
        return self.b.select(condition, a, b)

    def less(self, x: Value, bound: float) -> Value:
        """`x < bound`, False for NaN."""
        return self.b.fcmp_ordered("<", x, self.const(x, bound))

    def is_nan(self, x: Value) -> Value:
        """Whether x is NaN."""
        return self.b.fcmp_unordered("uno", x, x)

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + e^-x) without overflow."""
        one = self.const(x, 1.0)
        z = self.exp(self.negate(self.absolute(x)))
        return self.b.fdiv(self.where(self.less(x, 0.0), z, one), self.b.fadd(one, z))

    def sign(self, x: Value) -> Value:
        """-1, 0 or 1; 0 for both zeros, NaN for NaN, as in NumPy."""
        b, zero = self.b, self.const(x, 0.0)
        y = self.where(b.fcmp_ordered("<", x, zero), self.const(x, -1.0), self.where(self.is_nan(x), x, zero))
        return self.where(b.fcmp_ordered(">", x, zero), self.const(x, 1.0), y)

    def maximum(self, x: Value, y: Value) -> Value:
        """The larger; NaN when either is NaN, as `numpy.maximum`."""
        x, y = (y, x) if isinstance(x, ir.Constant) else (x, y)
        return self._either(self.e.maximum(x, y), y)

    def minimum(self, x: Value, y: Value) -> Value:
        """The smaller; NaN when either is NaN, as `numpy.minimum`."""
        x, y = (y, x) if isinstance(x, ir.Constant) else (x, y)
        return self._either(self.e.minimum(x, y), y)

    def _either(self, best: Value, y: Value) -> Value:
        # `best` keeps a NaN of the first operand; a number as second operand needs no look.
        if isinstance(y, ir.Constant) and not math.isnan(_first(y)):
            return best
        return self.where(self.is_nan(y), y, best)

    def floordiv(self, x: Value, y: Value) -> tuple[Value, Value]:
        """floor(x / y) and the remainder, which has the sign of y, as NumPy's divmod.

        Exact where |x / y| < 2^23; beyond, the quotient is the nearest float.
        """
        b, zero = self.b, self.const(x, 0.0)
        q = self.floor(b.fdiv(x, y))
        r = self.e.math("fma", self.negate(q), y, x)
        size = self.absolute(y)
        endless = b.fcmp_ordered("==", size, self.const(x, math.inf))
        q, r = self.where(endless, zero, q), self.where(endless, x, r)
        wrong = b.and_(
            b.fcmp_ordered("!=", r, zero),
            b.xor(b.fcmp_ordered("<", r, zero), b.fcmp_ordered("<", y, zero)),
        )
        q = self.where(wrong, b.fsub(q, self.const(x, 1.0)), q)
        r = self.where(wrong, b.fadd(r, y), r)
        over = b.fcmp_ordered(">=", self.absolute(r), size)
        over = b.and_(over, b.not_(endless))
        return self.where(over, b.fadd(q, self.const(x, 1.0)), q), self.where(over, b.fsub(r, y), r)


def _first(y: ir.Constant) -> float:
    """The number of a constant that is the same in all lanes."""
    value = y.constant
    return float(value[0].constant if isinstance(value, list) else value)
