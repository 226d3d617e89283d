"""What a rule of arithmetic is, and the rules of integers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from netdsl.cuda.emulator import bits
from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.numbers import DIRECTED
from netdsl.cuda.emulator.operands import Instruction

Function: TypeAlias = Callable[..., Any]
CARRY: Final = "carry"
"""The operand that `add.cc` and its kin write and `addc` reads; it stands in no text."""


@dataclass(frozen=True)
class Operation:
    """The types that an instruction reads and writes, and the function of arrays; several results are a tuple."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    function: Function


@dataclass(frozen=True)
class Rule:
    """The types and modifiers that an instruction may have, and how its operation is made of them."""

    kinds: Set[str]
    modifiers: Set[str]
    make: Callable[[Instruction, Set[str], tuple[str, ...]], Operation | None]


INTEGERS: Final = frozenset(f"{k}{n}" for k in "su" for n in (16, 32, 64))
BITS: Final = frozenset(f"b{n}" for n in (16, 32, 64))
WORDS: Final = frozenset(["s32", "u32", "s64", "u64"])
FLOATS: Final = frozenset(["f16", "bf16", "f32", "f64", "f16x2", "bf16x2"])
SINGLE: Final = frozenset(["f32", "f64"])
ROUNDINGS: Final = frozenset(["rn", *DIRECTED])
APPROXIMATE: Final = frozenset(["approx", "full", "ftz", "rn"])
EMPTY: Final[frozenset[str]] = frozenset()


def of_integers(function: Function, count: int, *, result: str = "", sign: bool = True) -> Any:
    """Operands of one type; without `sign` the signed types are computed as unsigned ones."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        kind = kinds[-1] if sign or kinds[-1] == "pred" else f"u{kinds[-1][1:]}"
        return Operation((kind,) * count, (result or kind,), function)

    return make


def shift(function: Function) -> Any:
    """Shifts, by 32 bits."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        return Operation((kinds[-1], "u32"), (kinds[-1],), function)

    return make


def field(function: Function, values: int) -> Any:
    """Bit fields: values, position, length."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        return Operation((kinds[-1],) * values + ("u32", "u32"), (kinds[-1],), function)

    return make


def product(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...], added: bool) -> Operation | None:
    """`mul` and `mad` of integers: the lower or upper half, or all of the product."""
    kind = kinds[-1]
    if len(modifiers & {"lo", "hi", "wide"}) != 1 or ("wide" in modifiers and kind[1:] == "64"):
        return None
    wide = f"{kind[0]}{2 * int(kind[1:])}" if "wide" in modifiers else kind
    product: Function = operator.mul
    if "wide" in modifiers or "hi" in modifiers:
        product = bits.multiply_wide if "wide" in modifiers else bits.multiply_high
    if not added:
        return Operation((kind, kind), (wide,), product)
    if "sat" in modifiers:
        return None
    return Operation((kind, kind, wide), (wide,), lambda a, b, c: product(a, b) + c)


def carried(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`add.cc`, `addc`, `sub.cc`, `subc`, `mad.cc`, `madc`: arithmetic of several words."""
    name = i.opcode.removesuffix("c")
    kind = f"u{kinds[-1][1:]}"
    chained, out = i.opcode in ("addc", "subc", "madc"), "cc" in modifiers
    halves: Function = bits.multiply_high if "hi" in modifiers else operator.mul
    if name == "mad" and len(modifiers & {"lo", "hi"}) != 1:
        return None
    last: Function = bits.subtract_borrow if name == "sub" else bits.add_carry

    def compute(*values: Array) -> Any:
        carry = values[-1] if chained else np.uint32(0)
        words = values[:-1] if chained else values
        total, over = (
            last(halves(words[0], words[1]), words[2], carry) if name == "mad" else last(*words, carry)
        )
        return (total, over) if out else total

    reads = (kind,) * (3 if name == "mad" else 2) + ((CARRY,) if chained else ())
    return Operation(reads, (kind, CARRY) if out else (kind,), compute)


def funnel_shift(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
    """`shf.l` and `shf.r`, clamped or wrapped."""
    left, wrap = "l" in modifiers, "wrap" in modifiers
    return Operation(("u32",) * 3, ("u32",), lambda a, b, c: bits.funnel(a, b, c, left, wrap))


def dot_product(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
    """`dp4a`."""
    result = "s32" if "s32" in kinds else "u32"
    return Operation((*kinds, result) if len(kinds) == 2 else ("u32",) * 3, (result,), bits.dot4)


def find(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
    """`bfind`."""
    return Operation((kinds[-1],), ("u32",), bits.shift_amount if "shiftamt" in modifiers else bits.find_bit)
