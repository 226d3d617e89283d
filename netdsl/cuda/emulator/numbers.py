"""Numbers as a GPU rounds them: directed rounding, bf16 and tf32, integers and floats; on arrays or scalars."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final

import numpy as np

from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.operands import DTYPES
from netdsl.native.fused import flush

Function = Callable[..., Any]
DIRECTED: Final = ("rz", "rm", "rp")
WHOLE: Final = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
SINGLE: Final = frozenset(["f32", "f64"])


def round_to(exact: Array, mode: str) -> Array:
    """A float64 as a float32, rounded to zero, down or up."""
    near = exact.astype(np.float32)
    below = (near < exact) & ((mode == "rp") | ((mode == "rz") & (exact < 0)))
    above = (near > exact) & ((mode == "rm") | ((mode == "rz") & (exact > 0)))
    infinity = np.float32(np.inf)
    return np.nextafter(near, np.where(below, infinity, np.where(above, -infinity, near)))


def sum_to_odd(a: Array, b: Array) -> Array:
    """The sum of two float64, rounded to odd: rounding it again to float32 is exact."""
    total = a + b
    back = total - a
    error = (a - (total - back)) + (b - back)
    even = np.asarray(total).view(np.uint64) & np.uint64(1) == 0
    fix = (error != 0) & even & np.isfinite(total)
    return np.where(fix, np.nextafter(total, np.where(error > 0, np.inf, -np.inf)), total)


def saturate(x: Array) -> Array:
    """Clamp to [0, 1]; NaN becomes 0."""
    return np.fmin(np.fmax(x, x.dtype.type(0)), x.dtype.type(1))


def to_bf16(x: Array) -> Array:
    """The upper 16 bits of a float32, rounded to nearest even."""
    bits = x.view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FFF), rounded)[()]


def to_tf32(x: Array, cut: bool) -> Array:
    """A float32 with 10 bits of mantissa: ties away from zero, or cut."""
    add = np.uint32(0 if cut else 0x1000)
    bits, top = x.view(np.uint32), np.uint32(0xFFFFE000)
    rounded = np.where(np.isfinite(x), (bits + add) & top, bits & top)
    return np.where(np.isnan(x), np.uint32(0x7FFFFFFF), rounded)[()]


def to_integer(x: Array, mode: str, dtype: np.dtype[Any]) -> Array:
    """A float as an integer, clamped to its range; NaN becomes 0."""
    info = np.iinfo(dtype)
    whole = WHOLE[mode](x.astype(np.float64))
    low, high = float(info.min), float(info.max)
    inside = np.where(np.isnan(whole) | (whole >= high), 0.0, np.maximum(whole, low)).astype(dtype)
    return np.where(whole >= high, dtype.type(info.max), inside)[()]


def converter(target: str, source: str, modes: Set[str]) -> Function | None:
    """The function of `cvt` from a type to another; None where the emulator knows none."""
    dtype, whole = DTYPES[target], next((m for m in WHOLE if m in modes), "")
    rest = modes - {"rn", "ftz"} - {whole}
    if source not in SINGLE:
        return (
            None if rest or whole or target[0] == "t" or source[0] not in "su" else lambda x: x.astype(dtype)
        )
    if target[0] in "su":
        return None if rest or not whole else lambda x: to_integer(x, whole, dtype)
    if (target, source) == ("tf32", "f32") and len(rest) == 1 and rest <= {"rna", "rz"}:
        return lambda x: to_tf32(x, rest == {"rz"})
    if target not in SINGLE or rest - {"sat"}:
        return None

    def convert(x: Array) -> Array:
        x = WHOLE[whole](x) if whole else x
        x = (saturate(x) if rest else x).astype(dtype)
        return flush(x) if "ftz" in modes and target == "f32" else x

    return convert
