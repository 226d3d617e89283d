"""Integer instructions that NumPy lacks: bit fields, permutations, wide products, carries."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.cuda.emulator.memory import Array


def _same(x: Array, value: int) -> Any:
    return x.dtype.type(value)


def divide(a: Array, b: Array) -> Array:
    """Integer division to zero; by zero it gives all ones, as GPUs do."""
    zero = b == 0
    safe = np.where(zero, _same(b, 1), b)
    result = a // safe if a.dtype.kind == "u" else (a - np.fmod(a, safe)) // safe
    return np.where(zero, ~_same(a, 0), result)[()]


def remainder(a: Array, b: Array) -> Array:
    """The remainder with the sign of the dividend; by zero it gives the dividend, as GPUs do."""
    return np.where(b == 0, a, np.fmod(a, np.where(b == 0, _same(b, 1), b)))[()]


def multiply_high(a: Array, b: Array) -> Array:
    """The upper half of a product."""
    if a.dtype.itemsize < 8:
        size = a.dtype.itemsize
        wide = np.dtype(f"{a.dtype.kind}{2 * size}").type
        return ((a.astype(wide) * b.astype(wide)) >> wide(8 * size)).astype(a.dtype)
    x, y = a.astype(np.uint64), b.astype(np.uint64)
    s, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    x0, x1, y0, y1 = x & low, x >> s, y & low, y >> s
    middle = (x0 * y0 >> s) + (x1 * y0 & low) + x0 * y1
    high = x1 * y1 + (x1 * y0 >> s) + (middle >> s)
    if a.dtype.kind == "i":
        high = high - np.where(a < 0, y, np.uint64(0)) - np.where(b < 0, x, np.uint64(0))
    return high.astype(a.dtype)


def multiply_wide(a: Array, b: Array) -> Array:
    """A product of twice the width."""
    wide = np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")
    return a.astype(wide) * b.astype(wide)


def shift_left(a: Array, by: Array) -> Array:
    """`<<`; shifts beyond the width give 0."""
    width = 8 * a.dtype.itemsize
    if by.ndim == 0 and by < width:
        return a << a.dtype.type(by)
    moved = a << np.minimum(by, np.uint32(width - 1)).astype(a.dtype)
    return np.where(by >= np.uint32(width), _same(a, 0), moved)[()]


def shift_right(a: Array, by: Array) -> Array:
    """`>>`; shifts beyond the width give 0, or the sign."""
    width = 8 * a.dtype.itemsize
    if by.ndim == 0 and by < width:
        return a >> a.dtype.type(by)
    moved = a >> np.minimum(by, np.uint32(width - 1)).astype(a.dtype)
    return moved if a.dtype.kind == "i" else np.where(by >= np.uint32(width), _same(a, 0), moved)[()]


def _low_bits(length: Array, like: Array) -> Array:
    """A mask of `length` bits."""
    width = 8 * like.dtype.itemsize
    inside = np.minimum(length, np.uint32(width - 1)).astype(like.dtype)
    return np.where(length >= np.uint32(width), ~_same(like, 0), (_same(like, 1) << inside) - _same(like, 1))


def bit_insert(a: Array, b: Array, position: Array, length: Array) -> Array:
    """`bfi`: put the low `length` bits of `a` into `b` at a position."""
    position, length = position & np.uint32(255), length & np.uint32(255)
    mask = shift_left(_low_bits(length, b), position)
    return (b & ~mask) | (shift_left(a, position) & mask)


def bit_count(a: Array) -> Array:
    """`popc`: how many bits are set."""
    wide, result = a.astype(np.uint64), np.uint64(0)
    m1, m2, m4 = (np.uint64(m) for m in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
    pairs = wide - ((wide >> np.uint64(1)) & m1)
    fours = (pairs & m2) + ((pairs >> np.uint64(2)) & m2)
    result = (((fours + (fours >> np.uint64(4))) & m4) * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return result.astype(np.uint32)


def _smeared(a: Array) -> Array:
    """All bits below the highest one set too."""
    for k in (1, 2, 4, 8, 16, 32)[: (8 * a.dtype.itemsize).bit_length() - 1]:
        a = a | (a >> _same(a, k))
    return a


def leading_zeros(a: Array) -> Array:
    """`clz`."""
    return np.uint32(8 * a.dtype.itemsize) - bit_count(_smeared(a))


def funnel(low: Array, high: Array, by: Array, left: bool, wrap: bool) -> Array:
    """`shf`: shift two words as one, and take the upper (left) or lower (right) word."""
    by = by & np.uint32(31) if wrap else np.minimum(by, np.uint32(32))
    both, by = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32), by.astype(np.uint64)
    return ((both << by) >> np.uint64(32) if left else both >> by).astype(np.uint32)


def permute_bytes(a: Array, b: Array, selector: Array) -> Array:
    """`prmt`: four bytes of two words, or their signs."""
    both = a.astype(np.uint64) | b.astype(np.uint64) << np.uint64(32)
    result: Array = np.uint32(0)
    for k in range(4):
        nibble = (selector >> np.uint32(4 * k)) & np.uint32(15)
        byte = (both >> ((nibble & np.uint32(7)).astype(np.uint64) * np.uint64(8))).astype(
            np.uint32
        ) & np.uint32(255)
        sign = np.where(byte & np.uint32(128), np.uint32(255), np.uint32(0))
        result = result | np.where(nibble & np.uint32(8), sign, byte)[()] << np.uint32(8 * k)
    return result


def add_carry(a: Array, b: Array, carry: Array) -> tuple[Array, Array]:
    """A sum with carry, and its carry."""
    half = a + b
    total = half + carry.astype(a.dtype)
    return total, ((half < a) | (total < half)).astype(np.uint32)
