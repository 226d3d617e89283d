"""The table from instructions to NumPy: types and modifiers of each, and how its function is made of them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Final

import numpy as np

from netdsl.cuda.emulator import bits
from netdsl.cuda.emulator.numbers import DIRECTED, SINGLE, WHOLE
from netdsl.cuda.emulator.operands import DTYPES, Instruction
from netdsl.cuda.emulator.rules import (
    COMPARISONS,
    Operation,
    Rule,
    carried,
    compare,
    conversion,
    either,
    fixed,
    funnel_shift,
    of_floats,
    of_sign_bit,
    product,
    same,
)
from netdsl.native.fused import fma, larger, smaller

_NONE: Final[frozenset[str]] = frozenset()
_FLUSHED: Final = frozenset(["ftz"])
_INTEGERS: Final = frozenset(f"{k}{n}" for k in "su" for n in (16, 32, 64))
_BITS: Final = frozenset(f"b{n}" for n in (16, 32, 64))
_LOGIC: Final = _BITS | {"pred"}
_BOTH: Final = _BITS - {"b16"}
_WORD: Final = frozenset(["b32"])
_NUMBERS: Final = _INTEGERS | SINGLE
_ALL: Final = _NUMBERS | _BITS
_SINGLE32: Final = frozenset(["f32"])
_ROUNDED: Final = frozenset(["rn", *DIRECTED, "ftz", "sat"])
_APPROXIMATE: Final = frozenset(["approx", "full", "ftz", "rn"])
_CARRIES: Final = Rule(_INTEGERS - {"s16", "u16"}, frozenset(["cc", "lo", "hi"]), carried)

RULES: Final[Mapping[str, Rule]] = {
    "add": Rule(
        _NUMBERS, _ROUNDED | {"cc"}, either(same(operator.add, 2, sign=False), of_floats(operator.add, 2))
    ),
    "sub": Rule(_NUMBERS, _ROUNDED, either(same(operator.sub, 2, sign=False), of_floats(operator.sub, 2))),
    "mul": Rule(
        _NUMBERS, _ROUNDED | {"lo", "hi", "wide"}, either(product(False), of_floats(operator.mul, 2))
    ),
    "mad": Rule(_NUMBERS, _ROUNDED | {"lo", "hi", "wide", "cc"}, either(product(True), of_floats(fma, 3))),
    "fma": Rule(SINGLE, _ROUNDED, of_floats(fma, 3)),
    "div": Rule(_NUMBERS, _APPROXIMATE, either(same(bits.divide, 2), of_floats(np.divide, 2))),
    "rem": Rule(_INTEGERS, _NONE, same(bits.remainder, 2)),
    "addc": _CARRIES,
    "madc": _CARRIES,
    "min": Rule(_NUMBERS, _FLUSHED, either(same(np.minimum, 2), of_floats(smaller, 2))),
    "max": Rule(_NUMBERS, _FLUSHED, either(same(np.maximum, 2), of_floats(larger, 2))),
    "neg": Rule(_NUMBERS, _FLUSHED, either(same(operator.neg, 1), of_sign_bit(operator.xor))),
    "abs": Rule(_NUMBERS, _FLUSHED, either(same(np.abs, 1), of_sign_bit(lambda x, s: x & ~s))),
    "and": Rule(_LOGIC, _NONE, same(operator.and_, 2)),
    "or": Rule(_LOGIC, _NONE, same(operator.or_, 2)),
    "xor": Rule(_LOGIC, _NONE, same(operator.xor, 2)),
    "not": Rule(_LOGIC, _NONE, same(operator.invert, 1)),
    "shl": Rule(_BITS, _NONE, fixed(",u32", "", bits.shift_left)),
    "shr": Rule(_BITS | _INTEGERS, _NONE, fixed(",u32", "", bits.shift_right)),
    "shf": Rule(_WORD, frozenset(["l", "r", "wrap", "clamp"]), funnel_shift),
    "bfi": Rule(_BOTH, _NONE, fixed(",,u32,u32", "", bits.bit_insert)),
    "prmt": Rule(_WORD, _NONE, fixed("u32,u32,u32", "u32", bits.permute_bytes)),
    "popc": Rule(_BOTH, _NONE, same(bits.bit_count, 1, result="u32")),
    "clz": Rule(_BOTH, _NONE, same(bits.leading_zeros, 1, result="u32")),
    "copysign": Rule(SINGLE, _NONE, same(lambda a, b: np.copysign(b, a), 2)),
    "rcp": Rule(SINGLE, _APPROXIMATE, of_floats(np.reciprocal, 1)),
    "sqrt": Rule(SINGLE, _APPROXIMATE, of_floats(np.sqrt, 1)),
    "rsqrt": Rule(
        _SINGLE32, _APPROXIMATE, of_floats(lambda x: (1 / np.sqrt(x.astype("f8"))).astype("f4"), 1)
    ),
    "ex2": Rule(_SINGLE32, _APPROXIMATE, of_floats(np.exp2, 1)),
    "lg2": Rule(_SINGLE32, _APPROXIMATE, of_floats(np.log2, 1)),
    "sin": Rule(_SINGLE32, _APPROXIMATE, of_floats(np.sin, 1)),
    "cos": Rule(_SINGLE32, _APPROXIMATE, of_floats(np.cos, 1)),
    "tanh": Rule(_SINGLE32, _APPROXIMATE, of_floats(np.tanh, 1)),
    "setp": Rule(_ALL, COMPARISONS, compare),
    "selp": Rule(_ALL, _NONE, fixed(",,pred", "", lambda a, b, p: np.where(p, a, b))),
    "cvt": Rule(
        _NUMBERS | {"s8", "u8", "bf16", "bf16x2", "tf32"},
        frozenset(["rn", "rna", *DIRECTED, *WHOLE, "ftz", "sat"]),
        conversion,
    ),
}


def split(i: Instruction) -> tuple[frozenset[str], tuple[str, ...]]:
    """The modifiers of an instruction, and its types."""
    kinds = tuple(m for m in i.modifiers if m in DTYPES)
    return frozenset(m for m in i.modifiers if m not in DTYPES), kinds


def operation(i: Instruction) -> Operation:
    """The operation of an instruction; raises PTXError for modifiers and types that the table does not have."""
    rule, (modifiers, kinds) = RULES[i.opcode], split(i)
    if unknown := sorted(modifiers - rule.modifiers):
        raise i.refuse(f"the emulator knows no .{unknown[0]} of {i.opcode}")
    found = rule.make(i, modifiers, kinds) if kinds and set(kinds) <= rule.kinds else None
    if found is None:
        raise i.refuse(f"the emulator knows no {i.name}")
    return found
