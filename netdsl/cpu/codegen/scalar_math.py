"""Elementary functions of f32 vectors as LLVM IR: polynomials, never a call of libm.

Methods and most coefficients: S. L. Moshier, Cephes 2.2 (exp); FreeBSD msun `e_logf.c` and
`s_log1pf.c` (log, log1p); erf in the form of N. Juffa (a polynomial near 0, one minus an exponential beyond),
expm1 as 2^n p + (2^n - 1), with coefficients fitted here.  sin, cos and pow compute in f64 vectors, so that
they are good to one unit in the last place over the whole range.  Denormal operands and results are kept,
infinities and NaN go where C99 sends them.
"""

from __future__ import annotations

import math

from llvmlite import ir

from netdsl.backend.two_over_pi import two_over_pi
from netdsl.native.emit import F32, F64, I32, I64, Value
from netdsl.native.functions import Functions

_LN2_HI, _LN2_LO = 0.693359375, -2.12194440e-4
_LOG_HI, _LOG_LO = 6.9313812256e-01, 9.0580006145e-06
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_EXPM1 = (0.000198458845, 0.00139407208, 0.00833338965, 0.0416663587, 0.166666657, 0.5)
_EXP2M1 = (0.000153821136, 0.00133873825, 0.00961831119, 0.0555036738, 0.240226492, 0.693147182)
_LOG = (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841)
_ERF_SMALL = (
    -0.000591956079,
    0.00497916527,
    -0.0267570652,
    0.112815537,
    -0.37612468,
    0.128379151,
)
_ERF_LARGE = (
    -1.18905737e-05,
    0.000329422823,
    -0.00366946124,
    0.0238193776,
    -0.106303677,
    -0.635110736,
    -0.128658533,
)
_SQRT_HALF_BITS, _ONE_BITS = 0x3F3504F3, 0x3F800000


class ElementaryFunctions(Functions):
    """The functions over the vectors of one kernel; every method takes and gives f32 vectors."""

    def _ints(self, x: Value, element: ir.Type = I32) -> Value:
        return self.e.bits(x, element)

    def _clamp(self, x: Value, low: float, high: float) -> Value:
        """Between two bounds; NaN stays, because the first operand of both wins when unordered."""
        return self.e.minimum(self.e.maximum(x, self.const(x, low)), self.const(x, high))

    def _power_of_two(self, n: Value) -> Value:
        """2^n of i32 lanes in -126..127."""
        biased = self.b.add(n, self.const(n, 127))
        return self.e.bits(self.b.shl(biased, self.const(n, 23)), F32)

    def _split(self, x: Value) -> tuple[Value, Value, Value]:
        """x = n ln 2 + r with |r| <= ln(2)/2: n as f32, n as i32, r.

        Rounds by adding 1.5 * 2^23, which leaves n in the low bits and has no undefined case for NaN.
        """
        b, magic = self.b, self.const(x, 12582912.0)
        shifted = self.e.fma(x, self.const(x, 1.44269504088896341), magic)
        n = b.fsub(shifted, magic)
        r = self.e.fma(n, self.const(x, -_LN2_HI), x)
        r = self.e.fma(n, self.const(x, -_LN2_LO), r)
        bits = self._ints(shifted)
        return n, b.sub(bits, self.const(bits, 0x4B400000)), r

    # --- exponentials ----------------------------------------------------------------------------

    def exp(self, x: Value) -> Value:
        """e^x; 1.2 ulp."""
        b = self.b
        _, n, r = self._split(self._clamp(x, -104.0, 89.0))
        y = self.e.fma(self.poly(r, _EXP), b.fmul(r, r), b.fadd(r, self.const(r, 1.0)))
        # In two steps, because 2^n itself overflows or is denormal at the ends of the range.
        half = b.ashr(n, self.const(n, 1))
        return b.fmul(b.fmul(y, self._power_of_two(half)), self._power_of_two(b.sub(n, half)))

    def expm1(self, x: Value) -> Value:
        """e^x - 1, accurate near 0; 1.5 ulp."""
        b = self.b
        _, n, r = self._split(self._clamp(x, -18.0, 89.0))
        p = self.e.fma(b.fmul(r, r), self.poly(r, _EXPM1), r)
        half = self._power_of_two(b.sub(n, self.const(n, 1)))
        y = self.e.fma(half, p, b.fsub(half, self.const(x, 0.5)))
        # x itself where it is tiny: keeps -0 and denormals.
        tiny = self.less(self.absolute(x), 1e-8)
        return self.where(tiny, x, b.fadd(y, y))

    def tanh(self, x: Value) -> Value:
        """The hyperbolic tangent y / (y + 2) with y = e^2|x| - 1; 3 ulp, 1 ulp from 1 on, and 1 from 9.02 on.

        The rounding error of 2|x| log2(e), which grows with x, counts less and less.
        """
        b, magic = self.b, self.const(x, 12582912.0)
        turns = b.fmul(self.absolute(x), self.const(x, 2.88539008177792681))
        turns = self.e.minimum(turns, self.const(x, 27.0))
        shifted = b.fadd(turns, magic)
        f = b.fsub(turns, b.fsub(shifted, magic))
        bits = self._ints(shifted)
        power = self.e.bits(b.add(b.shl(bits, self.const(bits, 23)), self.const(bits, _ONE_BITS)), F32)
        y = self.e.fma(power, b.fmul(f, self.poly(f, _EXP2M1)), b.fsub(power, self.const(x, 1.0)))
        return self.copysign(b.fdiv(y, b.fadd(y, self.const(x, 2.0))), x)

    def erf(self, x: Value) -> Value:
        """The error function; 1.5 ulp."""
        b = self.b
        size, square = self.absolute(x), b.fmul(x, x)
        small = self.e.fma(self.poly(square, _ERF_SMALL), x, x)
        t = self._clamp(size, 0.0, 4.0)
        exponent = self.e.fma(self.poly(t, _ERF_LARGE), t, b.fneg(t))
        large = b.fsub(self.const(x, 1.0), self.exp(exponent))
        return self.where(self.less(size, 0.9375), small, self.copysign(large, x))

    # --- logarithms ------------------------------------------------------------------------------

    def log(self, x: Value) -> Value:
        """The natural logarithm; 1 ulp."""
        b = self.b
        denormal = self.less(x, 2.0**-126)
        scaled = self.where(denormal, b.fmul(x, self.const(x, 2.0**25)), x)
        k, f = self._mantissa(scaled)
        k = b.fadd(k, self.where(denormal, self.const(x, -25.0), self.const(x, 0.0)))
        return self._log_ends(self._log_core(f, k, self.const(x, 0.0)), x, 0.0)

    def log1p(self, x: Value) -> Value:
        """log(1 + x), accurate near 0; 1 ulp."""
        b, one, zero = self.b, self.const(x, 1.0), self.const(x, 0.0)
        u = b.fadd(x, one)
        k, f = self._mantissa(u)
        # What 1 + x lost in rounding, relative to it.
        lost = self.where(self.less(x, 1.0), b.fsub(x, b.fsub(u, one)), b.fsub(one, b.fsub(u, x)))
        near = b.and_(self.less(x, 0.41421356), b.fcmp_ordered(">", x, self.const(x, -0.29289323)))
        y = self._log_core(
            self.where(near, x, f),
            self.where(near, zero, k),
            self.where(near, zero, b.fdiv(lost, u)),
        )
        tiny = self.less(self.absolute(x), 1e-8)
        return self.where(tiny, x, self._log_ends(y, x, -1.0))

    def _mantissa(self, x: Value) -> tuple[Value, Value]:
        """x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2); x positive and normal."""
        b, bits = self.b, self._ints(x)
        bits = b.add(bits, self.const(bits, _ONE_BITS - _SQRT_HALF_BITS))
        k = b.sub(b.ashr(bits, self.const(bits, 23)), self.const(bits, 127))
        m = b.add(b.and_(bits, self.const(bits, 0x7FFFFF)), self.const(bits, _SQRT_HALF_BITS))
        return self.e.to_float(k), b.fsub(self.e.bits(m, F32), self.const(x, 1.0))

    def _log_core(self, f: Value, k: Value, c: Value) -> Value:
        """log(1 + f) + k ln 2 + c."""
        b, e = self.b, self.e
        s = b.fdiv(f, b.fadd(self.const(f, 2.0), f))
        z = b.fmul(s, s)
        w = b.fmul(z, z)
        even = b.fmul(w, e.fma(w, self.const(f, _LOG[3]), self.const(f, _LOG[1])))
        odd = b.fmul(z, e.fma(w, self.const(f, _LOG[2]), self.const(f, _LOG[0])))
        half = b.fmul(b.fmul(self.const(f, 0.5), f), f)
        tail = e.fma(k, self.const(f, _LOG_LO), c)
        inner = e.fma(s, b.fadd(half, b.fadd(even, odd)), tail)
        return e.fma(k, self.const(f, _LOG_HI), b.fsub(f, b.fsub(half, inner)))

    def _log_ends(self, y: Value, x: Value, pole: float) -> Value:
        b, bound = self.b, self.const(x, pole)
        y = self.where(b.fcmp_ordered("==", x, bound), self.const(x, -math.inf), y)
        y = self.where(b.fcmp_unordered("<", x, bound), self.const(x, math.nan), y)
        return self.where(b.fcmp_ordered("==", x, self.const(x, math.inf)), x, y)

    # --- in f64 ----------------------------------------------------------------------------------

    def sin(self, x: Value) -> Value:
        """The sine, exact reduction for every f32; 1 ulp."""
        return self._circular(x, 0)

    def cos(self, x: Value) -> Value:
        """The cosine, exact reduction for every f32; 1 ulp."""
        return self._circular(x, 1)

    def _circular(self, x: Value, turn: int) -> Value:
        b = self.b
        f, quadrant = self._quarter_turns(b.fpext(x, self.e.like(x.type, F64)))
        quadrant = b.fadd(quadrant, self.const(quadrant, turn))
        r = b.fmul(f, self.const(f, math.pi / 2))
        square = b.fmul(r, r)
        sine = b.fmul(r, self.poly(square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(6, -1, -1)]))
        cosine = self.poly(square, [(-1) ** k / math.factorial(2 * k) for k in range(7, -1, -1)])
        half = b.fmul(quadrant, self.const(quadrant, 0.5))
        whole = self.e.math("floor", half)
        odd = b.fcmp_ordered("!=", half, whole)
        quarter = b.fmul(whole, self.const(quadrant, 0.5))
        flip = b.fcmp_ordered("!=", quarter, self.e.math("floor", quarter))
        y = self.where(odd, cosine, sine)
        y = b.fptrunc(self.where(flip, b.fneg(y), y), x.type)
        return y if turn else self.where(self.less(self.absolute(x), 1e-4), x, y)

    def _quarter_turns(self, x: Value) -> tuple[Value, Value]:
        """x 2/pi = quadrant + f modulo 4, |f| <= 1/2 (Payne and Hanek 1983).

        2/pi is cut into chunks of 24 bits, so each product with an f32 is exact, and so is its remainder.
        """
        b = self.b
        f, quadrant = self.const(x, 0.0), self.const(x, 0.0)
        for chunk in _TWO_OVER_PI:
            product = b.fmul(x, self.const(x, chunk))
            turns = self.e.math("rint", b.fmul(product, self.const(x, 0.25)))
            product = b.fsub(product, b.fmul(turns, self.const(x, 4.0)))
            f = b.fadd(f, product)
            whole = self.e.math("rint", f)
            f, quadrant = b.fsub(f, whole), b.fadd(quadrant, whole)
        return f, quadrant

    def pow(self, x: Value, y: Value) -> Value:
        """x^y with the special cases of C99; 1 ulp."""
        b = self.b
        wide = self.e.like(x.type, F64)
        p, q = b.fpext(x, wide), b.fpext(y, wide)
        size = self.absolute(p)
        power = self._exp2(self._clamp(b.fmul(q, self._log2(size)), -1000.0, 1000.0))
        floor = self.e.math("floor", q)
        half = b.fmul(floor, self.const(q, 0.5))
        whole = b.fcmp_ordered("==", floor, q)
        odd = b.and_(whole, b.fcmp_ordered("!=", half, self.e.math("floor", half)))
        bits = self._ints(p, I64)
        negative = b.icmp_signed("<", bits, self.const(bits, 0))
        power = self.where(b.and_(negative, odd), b.fneg(power), power)
        undefined = b.and_(
            b.and_(self.less(p, 0.0), b.fcmp_ordered(">", p, self.const(p, -math.inf))),
            b.and_(b.not_(whole), b.fcmp_ordered("<", self.absolute(q), self.const(q, math.inf))),
        )
        power = self.where(undefined, self.const(p, math.nan), power)
        forever = b.fcmp_ordered("==", self.absolute(q), self.const(q, math.inf))
        ones = b.and_(b.fcmp_ordered("==", size, self.const(p, 1.0)), forever)
        ones = b.or_(ones, b.fcmp_ordered("==", p, self.const(p, 1.0)))
        ones = b.or_(ones, b.fcmp_ordered("==", q, self.const(q, 0.0)))
        return b.fptrunc(self.where(ones, self.const(p, 1.0), power), x.type)

    def _log2(self, x: Value) -> Value:
        """log2 of non-negative f64 lanes that were f32, to about 45 bits; -inf at 0."""
        b, bits = self.b, self._ints(x, I64)
        start = 0x3FE6A09E667F3BCD  # sqrt(1/2)
        moved = b.add(bits, self.const(bits, (1023 << 52) - start))
        exponent = b.lshr(moved, self.const(bits, 52))
        # An integer below 2^52 as f64 without a conversion instruction: put it in the bits of 2^52.
        biased = self.e.bits(b.or_(exponent, self.const(bits, 0x4330000000000000)), F64)
        k = b.fsub(biased, self.const(x, 2.0**52 + 1023))
        low = b.and_(moved, self.const(bits, (1 << 52) - 1))
        m = self.e.bits(b.add(low, self.const(bits, start)), F64)
        one = self.const(x, 1.0)
        s = b.fdiv(b.fsub(m, one), b.fadd(m, one))
        square = b.fmul(s, s)
        series = self.poly(square, [2 / math.log(2) / (2 * j + 1) for j in range(9, -1, -1)])
        y = self.e.fma(s, series, k)
        y = self.where(b.fcmp_ordered("==", x, self.const(x, 0.0)), self.const(x, -math.inf), y)
        endless = b.fcmp_unordered("==", x, self.const(x, math.inf))
        return self.where(endless, x, y)

    def _exp2(self, x: Value) -> Value:
        """2^x of f64 lanes within +-1000, to about 35 bits."""
        b, magic = self.b, self.const(x, 1.5 * 2.0**52)
        shifted = b.fadd(x, magic)
        f = b.fsub(x, b.fsub(shifted, magic))
        y = self.poly(f, [math.log(2) ** j / math.factorial(j) for j in range(10, -1, -1)])
        bits = self._ints(shifted, I64)
        scale = b.shl(b.add(bits, self.const(bits, 1023)), self.const(bits, 52))
        return b.fmul(y, self.e.bits(scale, F64))

    # --- small -----------------------------------------------------------------------------------

    def to_i64(self, x: Value, kind: ir.Type) -> Value:
        """The integer towards zero (plain fptosi would be undefined out of its range)."""
        lanes = kind.count
        name = f"llvm.fptosi.sat.v{lanes}i64.v{lanes}f32"
        f = self.b.module.globals.get(name)
        if f is None:
            f = ir.Function(self.b.module, ir.FunctionType(kind, [x.type]), name)
        return self.b.call(f, [x])

    def copysign(self, size: Value, sign: Value) -> Value:
        """The size of one with the sign of the other."""
        return self.e.math("copysign", size, sign)


def _chunks(count: int) -> tuple[float, ...]:
    """2/pi in pieces of 24 bits."""
    rest = two_over_pi(256)
    pieces = []
    for k in range(1, count + 1):
        shift = 256 - 24 * k
        pieces.append((rest >> shift) * 2.0 ** (-24 * k))
        rest &= (1 << shift) - 1
    return tuple(pieces)


_TWO_OVER_PI = _chunks(9)
