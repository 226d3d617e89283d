"""Elementary functions of float32 on the GPU: NVIDIA's libdevice where it has them, without float64.

sin and cos are our own: those of libdevice keep a table in local memory for large arguments, which costs registers of
kernels that never see one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from llvmlite import ir

from netdsl.backend.two_over_pi import two_over_pi
from netdsl.compat import override
from netdsl.native.emit import F32, I32, I64, Value
from netdsl.native.functions import Functions

#: 32-bit words of the binary fraction of 2/pi, behind 32 zeros
_WORDS = 8


def _words() -> tuple[int, ...]:
    fraction = two_over_pi(32 * (_WORDS - 1))
    return (0, *(fraction >> 32 * k & 0xFFFFFFFF for k in reversed(range(_WORDS - 1))))


class DeviceFunctions(Functions):
    """The functions over the float32 of one thread."""

    def _call(self, name: str, result: ir.Type, *values: Value) -> Value:
        """A function of libdevice."""
        f = self.b.module.globals.get(f"__nv_{name}")
        if f is None:
            kind = ir.FunctionType(result, [v.type for v in values])
            f = ir.Function(self.b.module, kind, f"__nv_{name}")
        return self.b.call(f, values)

    def exp(self, x: Value) -> Value:
        """e^x."""
        return self._call("expf", F32, x)

    def expm1(self, x: Value) -> Value:
        """e^x - 1."""
        return self._call("expm1f", F32, x)

    def log(self, x: Value) -> Value:
        """The natural logarithm."""
        return self._call("logf", F32, x)

    def log1p(self, x: Value) -> Value:
        """log(1 + x)."""
        return self._call("log1pf", F32, x)

    def tanh(self, x: Value) -> Value:
        """The hyperbolic tangent."""
        return self._call("tanhf", F32, x)

    def erf(self, x: Value) -> Value:
        """The error function."""
        return self._call("erff", F32, x)

    def pow(self, x: Value, y: Value) -> Value:
        """x^y."""
        return self._call("powf", F32, x, y)

    def to_i64(self, x: Value, kind: ir.Type) -> Value:
        """The integer towards zero."""
        return self.where(self.is_nan(x), ir.Constant(kind, 0), self._call("float2ll_rz", kind, x))

    @override
    def negate(self, x: Value) -> Value:
        # libnvvm reads the LLVM IR of a time that had no fneg.
        return self.b.fsub(self.const(x, -0.0), x)

    @override
    def absolute(self, x: Value) -> Value:
        return self._call("fabsf", F32, x)

    @override
    def sqrt(self, x: Value) -> Value:
        return self._call("sqrtf", F32, x)

    @override
    def floor(self, x: Value) -> Value:
        return self._call("floorf", F32, x)

    @override
    def ceil(self, x: Value) -> Value:
        return self._call("ceilf", F32, x)

    @override
    def round(self, x: Value) -> Value:
        return self._call("rintf", F32, x)

    def sin(self, x: Value) -> Value:
        """The sine, exact reduction for every float32."""
        y = self._circular(x, 0)
        negative = self.b.icmp_signed("<", self.e.bits(x, I32), ir.Constant(I32, 0))
        return self.where(negative, self.negate(y), y)

    def cos(self, x: Value) -> Value:
        """The cosine, exact reduction for every float32."""
        return self._circular(x, 1)

    def _circular(self, x: Value, turn: int) -> Value:
        """The sine of |x| + turn pi/2; NaN of infinities."""
        b = self.b
        quadrant, r = self._reduced(x)
        quadrant = b.add(quadrant, ir.Constant(I32, turn))
        square = b.fmul(r, r)
        sine = self.poly(square, (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
        sine = self.e.fma(b.fmul(sine, square), r, r)
        cosine = self.poly(
            square, (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1.0)
        )
        y = self.where(self._bit(quadrant, 1), cosine, sine)
        y = self.where(self._bit(quadrant, 2), self.negate(y), y)
        return self.where(self.less(self.absolute(x), math.inf), y, b.fsub(x, x))

    def _bit(self, n: Value, mask: int) -> Value:
        return self.b.icmp_signed("!=", self.b.and_(n, ir.Constant(I32, mask)), ir.Constant(I32, 0))

    def _reduced(self, x: Value) -> tuple[Value, Value]:
        """|x| = quadrant pi/2 + r modulo 2 pi, |r| <= pi/4 (Payne and Hanek 1983): the quadrant as i32, and r.

        The 24 bits of |x| times 96 bits of 2/pi, from that on whose products are not multiples of 4; in integers.
        """
        b, bits, size = self.b, self.e.bits(x, I32), self.absolute(x)
        low = b.or_(b.and_(bits, ir.Constant(I32, 0x7FFFFF)), ir.Constant(I32, 0x800000))
        mantissa = b.zext(low, I64)
        exponent = b.and_(b.lshr(bits, ir.Constant(I32, 23)), ir.Constant(I32, 255))
        first = b.sub(exponent, ir.Constant(I32, 120))
        word = b.ashr(first, ir.Constant(I32, 5))
        shift = b.zext(b.and_(first, ir.Constant(I32, 31)), I64)
        table, half = _words(), ir.Constant(I64, 32)
        words = [self._chosen(word, table[k : k + 5]) for k in range(4)]
        pairs = [b.shl(b.or_(b.shl(m, half), n), shift) for m, n in itertools.pairwise(words)]
        high, middle, lower = (b.lshr(pair, half) for pair in pairs)
        below = b.add(b.mul(mantissa, middle), b.lshr(b.mul(mantissa, lower), half))
        product = b.add(b.shl(b.mul(mantissa, high), half), below)
        quadrant = b.lshr(b.add(product, ir.Constant(I64, 1 << 61)), ir.Constant(I64, 62))
        rest = b.sub(product, b.shl(quadrant, ir.Constant(I64, 62)))
        turned = b.fmul(b.sitofp(rest, F32), ir.Constant(F32, math.pi / 2 * 2.0**-62))
        small = self.less(size, 0.75)
        turns = self.where(small, ir.Constant(I32, 0), b.trunc(quadrant, I32))
        return turns, self.where(small, size, turned)

    def _chosen(self, index: Value, values: Sequence[int]) -> Value:
        """One of several words, without a table in memory."""
        found: Value = ir.Constant(I64, values[-1])
        for k in reversed(range(len(values) - 1)):
            here = self.b.icmp_signed("==", index, ir.Constant(I32, k))
            found = self.where(here, ir.Constant(I64, values[k]), found)
        return found
