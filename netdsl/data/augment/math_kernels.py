"""Functions of float32 that LLVM can turn into vector code, which calls of a library of mathematics keep from it.

Their errors are below 3e-6, relative or of the result's range, which bytes and noise do not see.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netdsl.native.numba_ir import bits_of, float_of, inlined

ONE, HALF = np.float32(1), np.float32(0.5)
_LOG = [np.float32(2 / math.log(2) / k) for k in (1, 3, 5, 7, 9, 11)]
L1, L3, L5, L7, L9, L11 = _LOG
_EXP = [np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 8)]
E1, E2, E3, E4, E5, E6, E7 = _EXP
_SIN = [np.float32((2 * math.pi) ** k / math.factorial(k)) for k in (1, 3, 5, 7, 9, 11)]
S1, S3, S5, S7, S9, S11 = _SIN


@inlined
def log2(x: Any) -> Any:
    """The logarithm to base 2 of a positive number."""
    bits = bits_of(x)
    exponent = np.float32(np.int32(bits >> np.int32(23))) - np.float32(127)
    m = float_of((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000))
    t = (m - ONE) / (m + ONE)
    s = t * t
    return exponent + t * (L1 + s * (L3 + s * (L5 + s * (L7 + s * (L9 + s * L11)))))


@inlined
def exp2(x: Any) -> Any:
    """2 to the power of x, for x from -126 to 126."""
    x = max(min(x, np.float32(126)), np.float32(-126))
    whole = np.float32(np.int32(x + np.float32(127))) - np.float32(127)
    f = x - whole
    power = ONE + f * (E1 + f * (E2 + f * (E3 + f * (E4 + f * (E5 + f * (E6 + f * E7))))))
    return power * float_of(np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)))


@inlined
def power(x: Any, exponent: Any) -> Any:
    """x to a positive power; 0 for what is not above 0."""
    found = exp2(exponent * log2(max(x, np.float32(1e-30))))
    return found if x > 0 else np.float32(0)


@inlined
def sine(turns: Any) -> Any:
    """The sine of an angle in turns, from -1/4 to 1/4."""
    s = turns * turns
    return turns * (S1 - s * (S3 - s * (S5 - s * (S7 - s * (S9 - s * S11)))))


@inlined
def normals(first: Any, second: Any) -> tuple[Any, Any]:
    """Two standard normal numbers by two uniform words (Box and Muller 1958)."""
    u = (np.float32(np.int32(first >> np.uint32(8))) + HALF) * np.float32(2.0**-24)
    turns = np.float32(np.int32(second >> np.uint32(8))) * np.float32(2.0**-24) - HALF
    size = np.float32(math.sqrt(max(np.float32(-2 * math.log(2)) * log2(u), np.float32(0))))
    size_of = abs(turns)
    cosine = sine(np.float32(0.25) - size_of)
    folded = min(size_of, HALF - size_of)
    return size * cosine, size * (sine(folded) if turns > 0 else -sine(folded))
