"""Numbers as a GPU rounds them: conversions, directed rounding, and the small formats, on arrays or scalars."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from netdsl.cuda.emulator.memory import Array

FLOATS: Final = ("f16", "bf16", "f32", "f64", "tf32")
DIRECTED: Final = ("rz", "rm", "rp")
WHOLE: Final = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
ONE32: Final = np.uint32(1)


def round_to(exact: Array, mode: str, dtype: Any) -> Array:
    """A float64 as a narrower float, rounded to nearest even, to zero, down or up."""
    near = exact.astype(dtype)
    if mode in ("rn", "rna"):
        return near
    below = (near < exact) & ((mode == "rp") | ((mode == "rz") & (exact < 0)))
    above = (near > exact) & ((mode == "rm") | ((mode == "rz") & (exact > 0)))
    infinity = np.dtype(dtype).type(np.inf)
    towards = np.where(below, infinity, np.where(above, -infinity, near))
    return np.nextafter(near, towards).astype(dtype)


def sum_to_odd(a: Array, b: Array) -> Array:
    """The sum of two float64, rounded to odd: rounding it again to a narrower format is exact."""
    total = a + b
    back = total - a
    error = (a - (total - back)) + (b - back)
    even = np.asarray(total).view(np.uint64) & np.uint64(1) == 0
    fix = (error != 0) & even & np.isfinite(total)
    return np.where(fix, np.nextafter(total, np.where(error > 0, np.inf, -np.inf)), total)


def product_sum(a: Array, b: Array, c: Array, mode: str, dtype: Any) -> Array:
    """`a * b + c` of narrow floats, rounded once."""
    exact = sum_to_odd(np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64))
    return round_to(exact, mode, dtype)


def saturate(x: Array) -> Array:
    """Clamp to [0, 1]; NaN becomes 0."""
    return np.fmin(np.fmax(x, x.dtype.type(0)), x.dtype.type(1))


def to_bf16(x: Array, mode: str = "rn") -> Array:
    """The upper 16 bits of a float32, rounded to nearest even or cut."""
    bits = np.asarray(x).view(np.uint32)
    half = np.uint32(0) if mode == "rz" else np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & ONE32)
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FFF), rounded)[()]


def bf16_of_double(exact: Array, mode: str = "rn") -> Array:
    """A float64 as bf16, rounded once: to odd first where it is narrowed to float32."""
    near = round_to(exact, "rz", np.float32)
    inexact = near.astype(np.float64) != exact
    odd = near.view(np.uint32) | (inexact & np.isfinite(near)).astype(np.uint32)
    return to_bf16(odd.view(np.float32), mode)


def from_bf16(x: Array) -> Array:
    """The float32 that bf16 bits stand for."""
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_tf32(x: Array, mode: str) -> Array:
    """A float32 with 10 bits of mantissa: ties away from zero (`rna`), to even (`rn`), or cut (`rz`)."""
    bits = np.asarray(x).view(np.uint32)
    tie = {"rna": np.uint32(0x1000), "rz": np.uint32(0)}.get(mode)
    add = np.uint32(0xFFF) + ((bits >> np.uint32(13)) & ONE32) if tie is None else tie
    rounded = np.where(np.isfinite(x), (bits + add) & np.uint32(0xFFFFE000), bits & np.uint32(0xFFFFE000))
    return np.where(np.isnan(x), np.uint32(0x7FFFFFFF), rounded)[()]


def float_to_int(x: Array, mode: str, dtype: np.dtype[Any]) -> Array:
    """A float as an integer, clamped to its range; NaN becomes 0."""
    info = np.iinfo(dtype)
    whole = WHOLE[mode](x.astype(np.float64))
    low, high = float(info.min), float(info.max)
    inside = np.where(np.isnan(whole) | (whole >= high), 0.0, np.maximum(whole, low)).astype(dtype)
    return np.where(whole >= high, dtype.type(info.max), inside)[()]


def clamp_int(x: Array, source: np.dtype[Any], dtype: np.dtype[Any]) -> Array:
    """An integer clamped to the range of another type."""
    have, want = np.iinfo(source), np.iinfo(dtype)
    low, high = max(int(have.min), int(want.min)), min(int(have.max), int(want.max))
    return np.minimum(np.maximum(x, source.type(low)), source.type(high)).astype(dtype)


def int_to_float(x: Array, mode: str, dtype: np.dtype[Any]) -> Array:
    """An integer as a float; those of 64 bits are rounded once, to nearest."""
    if mode == "rn" and dtype != np.float16:
        return x.astype(dtype)
    wide = x.astype(np.float64)
    if x.dtype.itemsize == 8:
        back = np.where(np.abs(wide) < 2.0**63, wide, 0.0).astype(np.int64).astype(x.dtype)
        up, down = wide < x, wide > x
        exact = (back == x) & (np.abs(wide) < 2.0**63)
        wide = np.where(exact, wide, np.nextafter(wide, np.where(up, np.inf, np.where(down, -np.inf, wide))))
    return round_to(wide, mode, dtype)


def decode(x: Array, kind: str) -> Array:
    """A float of any type as NumPy computes with it."""
    return from_bf16(x) if kind == "bf16" else x.view(np.float32) if kind == "tf32" else x


def convert(
    x: Array, source: str, target: str, modes: frozenset[str], dtypes: dict[str, np.dtype[Any]]
) -> Array:
    """`cvt`: a number of one type as another."""
    mode = next((m for m in ("rn", "rna", *DIRECTED) if m in modes), "rn")
    whole = next((m for m in WHOLE if m in modes), None)
    want = dtypes[target]
    if source not in FLOATS:
        if target in FLOATS:
            return int_to_float(x, mode, want)
        return clamp_int(x, dtypes[source], want) if "sat" in modes else x.astype(want)
    value = decode(x, source)
    if target not in FLOATS:
        return float_to_int(value, whole or "rzi", want)
    if "relu" in modes:
        value = np.where(value > 0, value, value.dtype.type(0)) + np.where(
            np.isnan(value), value, value.dtype.type(0)
        )
    if whole:
        value = WHOLE[whole](value)
    if "sat" in modes:
        value = saturate(value)
    if target == "bf16":
        return (
            bf16_of_double(value, mode)
            if value.dtype == np.float64
            else to_bf16(value.astype(np.float32), mode)
        )
    if target == "tf32":
        return to_tf32(value, mode)
    if want.itemsize >= value.dtype.itemsize:
        return value.astype(want)
    return round_to(value.astype(np.float64), mode, want.type)
