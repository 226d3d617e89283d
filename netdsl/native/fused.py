"""Arithmetic that NumPy lacks, as ufuncs: fused multiply-add, rounded once, and flushing of denormal numbers.

They are compiled when this is imported and not kept: what Numba keeps is a pickle beside the sources.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import vectorize
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def _fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return a(a, a, a), generate


@intrinsic
def _flushed(typing: Any, x: Any) -> Any:
    """A float32, or zero with its sign where its exponent is that of denormal numbers."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        bits = b.bitcast(args[0], word)
        exponent = b.and_(bits, word(0x7F800000))
        sign = b.and_(bits, word(0x80000000))
        return b.bitcast(b.select(b.icmp_unsigned("==", exponent, word(0)), sign, bits), ir.FloatType())

    return types.float32(types.float32), generate


@vectorize(["float32(float32, float32, float32)", "float64(float64, float64, float64)"])
def fma(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once."""
    return _fma(a, b, c)


@vectorize(["float32(float32)"])
def flush(x: Any) -> Any:
    """Denormal numbers become zero and keep their sign."""
    return _flushed(x)


@vectorize(["float32(float32, float32, float32)"])
def fma_flush(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c` of flushed numbers, rounded once and flushed."""
    return _flushed(_fma(_flushed(a), _flushed(b), _flushed(c)))


@intrinsic
def _negative(typing: Any, x: Any) -> Any:
    """Is the sign of a float set?"""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32 if signature.args[0] == types.float32 else 64)
        return b.icmp_signed("<", b.bitcast(args[0], word), word(0))

    return types.boolean(x), generate


@vectorize(["float32(float32, float32)", "float64(float64, float64)"])
def smaller(a: Any, b: Any) -> Any:
    """The smaller number; -0 is below +0, and a number is preferred to NaN."""
    if a < b or b != b or (a == b and _negative(a)):
        return a
    return b


@vectorize(["float32(float32, float32)", "float64(float64, float64)"])
def larger(a: Any, b: Any) -> Any:
    """The larger number; +0 is above -0, and a number is preferred to NaN."""
    if a > b or b != b or (a == b and not _negative(a)):
        return a
    return b
