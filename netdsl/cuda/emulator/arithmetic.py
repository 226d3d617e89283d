"""The table from instructions to NumPy: types and modifiers of each, and how its function is made of them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Set
from typing import Final

import numpy as np

from netdsl.cuda.emulator import bits
from netdsl.cuda.emulator.comparing import (
    COMPARISONS,
    JOIN,
    MODES,
    TESTS,
    compare,
    conversion,
    select,
    select_by_sign,
    set_value,
    test_class,
)
from netdsl.cuda.emulator.floating import (
    either,
    extreme,
    of_floats,
    of_sign_bit,
    reciprocal_root,
    rounded,
)
from netdsl.cuda.emulator.operands import DTYPES, Instruction
from netdsl.cuda.emulator.rules import (
    APPROXIMATE,
    BITS,
    EMPTY,
    FLOATS,
    INTEGERS,
    ROUNDINGS,
    SINGLE,
    WORDS,
    Operation,
    Rule,
    carried,
    dot_product,
    field,
    find,
    funnel_shift,
    of_integers,
    product,
    shift,
)
from netdsl.native.fused import fma, larger, smaller

_ANY: Final = INTEGERS | BITS | {"b8", "u8", "s8"}
_SUM: Final = ROUNDINGS | {"ftz", "sat", "cc"}
_CARRY_RULE: Final = Rule(INTEGERS - {"s16", "u16"}, frozenset(["cc", "lo", "hi"]), carried)
_NUMBERS: Final = INTEGERS | FLOATS
_WORD: Final = frozenset(["b32"])
_BOTH: Final = frozenset(["b32", "b64"])
_SMALL: Final = frozenset(["s32", "u32"])
_FLUSHED: Final = frozenset(["ftz"])
_PRODUCT: Final = ROUNDINGS | {"ftz", "sat", "lo", "hi", "wide"}
_EXTREME: Final = frozenset(["ftz", "NaN", "relu"])


def _fused(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
    """`fma`, and `mad` of floats."""
    return Operation((kinds[-1],) * 3, (kinds[-1],), rounded(fma, "fma", kinds[-1], modifiers))


RULES: Final[Mapping[str, Rule]] = {
    "add": Rule(_NUMBERS, _SUM, either(of_integers(operator.add, 2, sign=False), of_floats(operator.add, 2))),
    "sub": Rule(_NUMBERS, _SUM, either(of_integers(operator.sub, 2, sign=False), of_floats(operator.sub, 2))),
    "mul": Rule(
        _NUMBERS, _PRODUCT, either(lambda i, m, k: product(i, m, k, False), of_floats(operator.mul, 2))
    ),
    "mad": Rule(INTEGERS | SINGLE, _PRODUCT | {"cc"}, either(lambda i, m, k: product(i, m, k, True), _fused)),
    "fma": Rule(FLOATS, ROUNDINGS | {"ftz", "sat", "relu"}, of_floats(fma, 3)),
    "div": Rule(
        INTEGERS | SINGLE,
        ROUNDINGS | APPROXIMATE,
        either(of_integers(bits.divide, 2), of_floats(np.divide, 2)),
    ),
    "rem": Rule(INTEGERS, EMPTY, of_integers(bits.remainder, 2)),
    "addc": _CARRY_RULE,
    "subc": _CARRY_RULE,
    "madc": _CARRY_RULE,
    "mul24": Rule(_SMALL, frozenset(["lo"]), of_integers(bits.multiply24, 2)),
    "mad24": Rule(_SMALL, frozenset(["lo"]), of_integers(lambda a, b, c: bits.multiply24(a, b) + c, 3)),
    "sad": Rule(
        INTEGERS,
        EMPTY,
        lambda _i, _m, k: Operation((k[0], k[0], f"u{k[0][1:]}"), (f"u{k[0][1:]}",), bits.difference),
    ),
    "dp4a": Rule(_SMALL, EMPTY, dot_product),
    "min": Rule(_NUMBERS, _EXTREME, extreme(smaller, np.minimum, np.minimum)),
    "max": Rule(_NUMBERS, _EXTREME, extreme(larger, np.maximum, np.maximum)),
    "neg": Rule(_NUMBERS, _FLUSHED, either(of_integers(operator.neg, 1), of_sign_bit(operator.xor))),
    "abs": Rule(_NUMBERS, _FLUSHED, either(of_integers(np.abs, 1), of_sign_bit(lambda x, s: x & ~s))),
    "and": Rule(BITS | {"pred"}, EMPTY, of_integers(operator.and_, 2)),
    "or": Rule(BITS | {"pred"}, EMPTY, of_integers(operator.or_, 2)),
    "xor": Rule(BITS | {"pred"}, EMPTY, of_integers(operator.xor, 2)),
    "not": Rule(BITS | {"pred"}, EMPTY, of_integers(operator.invert, 1)),
    "cnot": Rule(BITS, EMPTY, of_integers(lambda a: (a == 0).astype(a.dtype), 1)),
    "shl": Rule(BITS, EMPTY, shift(bits.shift_left)),
    "shr": Rule(BITS | INTEGERS, EMPTY, shift(bits.shift_right)),
    "shf": Rule(_WORD, frozenset(["l", "r", "wrap", "clamp"]), funnel_shift),
    "bfe": Rule(WORDS, EMPTY, field(bits.bit_extract, 1)),
    "bfi": Rule(_BOTH, EMPTY, field(bits.bit_insert, 2)),
    "lop3": Rule(_WORD, EMPTY, lambda _i, _m, _k: Operation(("u32",) * 4, ("u32",), bits.lookup)),
    "prmt": Rule(_WORD, EMPTY, lambda _i, _m, _k: Operation(("u32",) * 3, ("u32",), bits.permute_bytes)),
    "popc": Rule(_BOTH, EMPTY, of_integers(bits.bit_count, 1, result="u32")),
    "clz": Rule(_BOTH, EMPTY, of_integers(bits.leading_zeros, 1, result="u32")),
    "bfind": Rule(WORDS, frozenset(["shiftamt"]), find),
    "brev": Rule(_BOTH, EMPTY, of_integers(bits.reverse, 1)),
    "copysign": Rule(
        SINGLE, EMPTY, lambda _i, _m, k: Operation((k[-1],) * 2, (k[-1],), lambda a, b: np.copysign(b, a))
    ),
    "rcp": Rule(SINGLE, APPROXIMATE | ROUNDINGS, of_floats(np.reciprocal, 1)),
    "sqrt": Rule(SINGLE, APPROXIMATE | ROUNDINGS, of_floats(np.sqrt, 1)),
    "rsqrt": Rule(SINGLE, APPROXIMATE, of_floats(reciprocal_root, 1)),
    "ex2": Rule(FLOATS - {"f64"}, APPROXIMATE, of_floats(np.exp2, 1)),
    "lg2": Rule(frozenset(["f32"]), APPROXIMATE, of_floats(np.log2, 1)),
    "sin": Rule(frozenset(["f32"]), APPROXIMATE, of_floats(np.sin, 1)),
    "cos": Rule(frozenset(["f32"]), APPROXIMATE, of_floats(np.cos, 1)),
    "tanh": Rule(FLOATS - {"f64"}, APPROXIMATE, of_floats(np.tanh, 1)),
    "setp": Rule(INTEGERS | BITS | FLOATS, COMPARISONS | JOIN.keys() | {"ftz"}, compare),
    "set": Rule(INTEGERS | BITS | FLOATS, COMPARISONS | JOIN.keys() | {"ftz"}, set_value),
    "selp": Rule(INTEGERS | BITS | FLOATS, EMPTY, select),
    "slct": Rule(INTEGERS | BITS | SINGLE, _FLUSHED, select_by_sign),
    "testp": Rule(SINGLE, frozenset(TESTS), test_class),
    "cvt": Rule(_ANY - BITS - {"b8"} | FLOATS | {"tf32"}, MODES, conversion),
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
    if not kinds or not set(kinds) <= rule.kinds:
        raise i.refuse(f"the emulator knows no {i.name}")
    found = rule.make(i, modifiers, kinds)
    if found is None:
        raise i.refuse(f"the emulator knows no {i.name}")
    return found
