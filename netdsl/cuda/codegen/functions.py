"""Elementary functions of float32 as lines for `numba.cuda`: libdevice where it has them, without float64.

Every function takes names of float32 values and returns one.  sin and cos are our own: those of libdevice keep a
table in local memory for large arguments, which costs registers of kernels that never see one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from netdsl.backend.two_over_pi import two_over_pi
from netdsl.cuda.codegen.lines import Lines

#: 32-bit words of the binary fraction of 2/pi, behind 32 zeros
_WORDS = 8


def _words() -> tuple[int, ...]:
    fraction = two_over_pi(32 * (_WORDS - 1))
    return (0, *(fraction >> 32 * k & 0xFFFFFFFF for k in reversed(range(_WORDS - 1))))


def number(value: float) -> str:
    """A float32 literal."""
    return f"float32({value!r})" if value - value == 0 else f"float32({_SPECIAL[str(value)]})"


_SPECIAL = {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}


def polynomial(out: Lines, x: str, coefficients: tuple[float, ...]) -> str:
    """Horner's rule, highest power first."""
    total = number(coefficients[0])
    for c in coefficients[1:]:
        total = out.let(f"libdevice.fmaf({total}, {x}, {number(c)})")
    return total


def absolute(out: Lines, x: str) -> str:
    """|x|."""
    return out.let(f"libdevice.fabsf({x})")


def sign(out: Lines, x: str) -> str:
    """-1, 0 or 1; 0 for both zeros, NaN for NaN, as in NumPy."""
    below = out.let(f"{number(-1.0)} if {x} < {number(0.0)} else {x} if {x} != {x} else {number(0.0)}")
    return out.let(f"{number(1.0)} if {x} > {number(0.0)} else {below}")


def sigmoid(out: Lines, x: str) -> str:
    """1 / (1 + e^-x) without overflow."""
    z = out.let(f"libdevice.expf(-libdevice.fabsf({x}))")
    top = out.let(f"{z} if {x} < {number(0.0)} else {number(1.0)}")
    return out.let(f"{top} / ({number(1.0)} + {z})")


def maximum(out: Lines, x: str, y: str) -> str:
    """The larger; NaN when either is NaN, as `numpy.maximum`."""
    return out.let(f"{x} if ({x} > {y}) | ({x} != {x}) else {y}")


def minimum(out: Lines, x: str, y: str) -> str:
    """The smaller; NaN when either is NaN, as `numpy.minimum`."""
    return out.let(f"{x} if ({x} < {y}) | ({x} != {x}) else {y}")


def divided(out: Lines, x: str, y: str) -> tuple[str, str]:
    """floor(x / y) and the remainder, which has the sign of y, as NumPy's divmod.

    Exact where |x / y| < 2^23; beyond, the quotient is the nearest float.
    """
    zero, one = number(0.0), number(1.0)
    size = absolute(out, y)
    endless = out.let(f"{size} == {number(float('inf'))}")
    whole = out.let(f"libdevice.floorf({x} / {y})")
    q = out.let(f"{zero} if {endless} else {whole}")
    r = out.let(f"{x} if {endless} else libdevice.fmaf(-{whole}, {y}, {x})")
    wrong = out.let(f"({r} != {zero}) & (({r} < {zero}) != ({y} < {zero}))")
    q, r = out.let(f"{q} - {one} if {wrong} else {q}"), out.let(f"{r} + {y} if {wrong} else {r}")
    over = out.let(f"(libdevice.fabsf({r}) >= {size}) & ({size} != {number(float('inf'))})")
    return out.let(f"{q} + {one} if {over} else {q}"), out.let(f"{r} - {y} if {over} else {r}")


def _reduced(out: Lines, x: str) -> tuple[str, str]:
    """|x| = quadrant pi/2 + r modulo 2 pi, |r| <= pi/4 (Payne and Hanek 1983): the quadrant as int32, and r.

    The 24 bits of |x| times 96 bits of 2/pi, from that on whose products are not multiples of 4; in integers.
    """
    bits = out.let(f"libdevice.float_as_int({x})")
    mantissa = out.let(f"uint64(({bits} & int32(0x7FFFFF)) | int32(0x800000))")
    first = out.let(f"(({bits} >> int32(23)) & int32(255)) - int32(120)")
    word, shift = out.let(f"{first} >> int32(5)"), out.let(f"uint64({first} & int32(31))")
    table = _words()
    words = [_chosen(out, word, table[k : k + 5]) for k in range(4)]
    pairs = [f"((({a} << uint64(32)) | {b}) << {shift})" for a, b in itertools.pairwise(words)]
    high, middle, low = (out.let(f"{pair} >> uint64(32)") for pair in pairs)
    carry = out.let(f"({mantissa} * {low}) >> uint64(32)")
    below = out.let(f"{mantissa} * {middle} + {carry}")
    product = out.let(f"(({mantissa} * {high}) << uint64(32)) + {below}")
    quadrant = out.let(f"({product} + uint64(0x2000000000000000)) >> uint64(62)")
    rest = out.let(f"int64({product} - ({quadrant} << uint64(62)))")
    turned = out.let(f"libdevice.ll2float_rn({rest}) * {number(1.5707963267948966 * 2.0**-62)}")
    small = out.let(f"libdevice.fabsf({x}) < {number(0.75)}")
    r = out.let(f"libdevice.fabsf({x}) if {small} else {turned}")
    return out.let(f"int32(0) if {small} else int32({quadrant})"), r


def _chosen(out: Lines, index: str, values: tuple[int, ...]) -> str:
    """One of several words, without a table in memory."""
    text = f"uint64({values[-1]:#x})"
    for k in reversed(range(len(values) - 1)):
        text = f"uint64({values[k]:#x}) if {index} == int32({k}) else {text}"
    return out.let(text)


def _circular(out: Lines, x: str, turn: int) -> str:
    """The sine of |x| + turn pi/2; NaN of infinities."""
    quadrant, r = _reduced(out, x)
    quadrant = out.let(f"{quadrant} + int32({turn})")
    square = out.let(f"{r} * {r}")
    sine = polynomial(out, square, (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
    sine = out.let(f"libdevice.fmaf({sine} * {square}, {r}, {r})")
    cosine = polynomial(
        out, square, (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5)
    )
    cosine = out.let(f"libdevice.fmaf({cosine}, {square}, {number(1.0)})")
    y = out.let(f"{cosine} if ({quadrant} & int32(1)) != int32(0) else {sine}")
    y = out.let(f"-{y} if ({quadrant} & int32(2)) != int32(0) else {y}")
    return out.let(f"{y} if libdevice.fabsf({x}) < {number(float('inf'))} else {x} - {x}")


def sin(out: Lines, x: str) -> str:
    """The sine, exact reduction for every float32."""
    y = _circular(out, x, 0)
    return out.let(f"-{y} if libdevice.float_as_int({x}) < int32(0) else {y}")


def cos(out: Lines, x: str) -> str:
    """The cosine, exact reduction for every float32."""
    return _circular(out, x, 1)


def _library(name: str) -> Callable[[Lines, str], str]:
    """A function of libdevice."""
    return lambda out, x: out.let(f"libdevice.{name}({x})")


UNARY: Mapping[str, Callable[[Lines, str], str]] = {
    "abs": absolute,
    "neg": lambda out, x: out.let(f"-{x}"),
    "sign": sign,
    "exp": _library("expf"),
    "expm1": _library("expm1f"),
    "log": _library("logf"),
    "log1p": _library("log1pf"),
    "sqrt": _library("sqrtf"),
    "sin": sin,
    "cos": cos,
    "tanh": _library("tanhf"),
    "sigmoid": sigmoid,
    "erf": _library("erff"),
    "floor": _library("floorf"),
    "ceil": _library("ceilf"),
    "round": _library("rintf"),
}
"""The functions of one float32, by their names in `netdsl.scalar`."""

BINARY: Mapping[str, Callable[[Lines, str, str], str]] = {
    "add": lambda out, x, y: out.let(f"{x} + {y}"),
    "sub": lambda out, x, y: out.let(f"{x} - {y}"),
    "mul": lambda out, x, y: out.let(f"{x} * {y}"),
    "div": lambda out, x, y: out.let(f"{x} / {y}"),
    "max": maximum,
    "min": minimum,
    "pow": lambda out, x, y: out.let(f"libdevice.powf({x}, {y})"),
    "floordiv": lambda out, x, y: divided(out, x, y)[0],
    "mod": lambda out, x, y: divided(out, x, y)[1],
}
"""The arithmetic of two float32, by name."""
