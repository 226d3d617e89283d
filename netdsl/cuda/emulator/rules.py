"""What a rule of arithmetic is, and how the functions of instructions are made of their types and modifiers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from netdsl.cuda.emulator import bits
from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.numbers import (
    DIRECTED,
    SINGLE,
    Function,
    converter,
    round_to,
    saturate,
    sum_to_odd,
    to_bf16,
)
from netdsl.cuda.emulator.operands import DTYPES, Instruction
from netdsl.native.fused import flush, fma, fma_flush

CARRY: Final = "carry"
"""The operand that `add.cc` and `mad.cc` write and `addc` and `madc` read; it stands in no text."""


@dataclass(frozen=True)
class Operation:
    """The types that an instruction reads and writes, and the function of arrays; several results are a tuple."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    function: Function


Make = Callable[[Instruction, Set[str], tuple[str, ...]], Operation | None]
"""The operation of an instruction with its modifiers and types; None where the emulator knows none."""


@dataclass(frozen=True)
class Rule:
    """The types and modifiers that an instruction may have, and how its operation is made of them."""

    kinds: Set[str]
    modifiers: Set[str]
    make: Make


def same(function: Function, count: int, *, result: str = "", sign: bool = True) -> Make:
    """Operands of one type; without `sign` the signed types are computed as unsigned ones."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        kind = kinds[-1] if sign or kinds[-1] == "pred" else f"u{kinds[-1][1:]}"
        return Operation((kind,) * count, (result or kind,), function)

    return make


def fixed(reads: str, writes: str, function: Function) -> Make:
    """Operands of types that are given, "" for that of the instruction, with commas between."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        read, written = (tuple(k or kinds[-1] for k in names.split(",")) for names in (reads, writes))
        return Operation(read, written, function)

    return make


def product(added: bool) -> Make:
    """`mul` and `mad` of integers: the lower or upper half, or all of the product."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
        kind = kinds[-1]
        part = "".join(modifiers)
        if part not in ("lo", "hi", "wide") or (part == "wide" and kind.endswith("64")):
            return None
        wide = f"{kind[0]}{2 * int(kind[1:])}" if part == "wide" else kind
        function = {"lo": operator.mul, "hi": bits.multiply_high, "wide": bits.multiply_wide}[part]
        if not added:
            return Operation((kind, kind), (wide,), function)
        return Operation((kind, kind, wide), (wide,), lambda a, b, c: function(a, b) + c)

    return make


def carried(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`add.cc`, `addc`, `mad.cc`, `madc`: arithmetic of several words."""
    name, kind = i.opcode.removesuffix("c"), f"u{kinds[-1][1:]}"
    chained, out = i.opcode.endswith("c"), "cc" in modifiers
    halves: Function = bits.multiply_high if "hi" in modifiers else operator.mul
    if name == "mad" and len(modifiers & {"lo", "hi"}) != 1:
        return None

    def compute(*values: Array) -> Any:
        carry, words = (values[-1], values[:-1]) if chained else (np.uint32(0), values)
        if name == "mad":
            words = halves(words[0], words[1]), words[2]
        total, over = bits.add_carry(words[0], words[1], carry)
        return (total, over) if out else total

    reads = (kind,) * (3 if name == "mad" else 2) + ((CARRY,) if chained else ())
    return Operation(reads, (kind, CARRY) if out else (kind,), compute)


def funnel_shift(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
    """`shf.l` and `shf.r`, clamped or wrapped."""
    left, wrap = "l" in modifiers, "wrap" in modifiers
    return Operation(("u32",) * 3, ("u32",), lambda a, b, c: bits.funnel(a, b, c, left, wrap))


# -- floats -------------------------------------------------------------------------------------------------

#: the exact results in float64 of float32, or such as round to the same
_EXACT: Final[Mapping[str, Function]] = {
    "add": sum_to_odd,
    "sub": lambda a, b: sum_to_odd(a, -b),
    "mul": operator.mul,
    "fma": lambda a, b, c: sum_to_odd(a * b, c),
}


def of_floats(function: Function, count: int) -> Make:
    """Operands and result of one type of float: rounded, flushed, saturated."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
        kind, mode = kinds[-1], next((m for m in DIRECTED if m in modifiers), "")
        flushing, result = "ftz" in modifiers and kind == "f32", function
        if mode:
            exact = _EXACT.get(i.opcode)
            if exact is None or kind != "f32":
                return None
            result = _then(lambda *v: exact(*(x.astype(np.float64) for x in v)), lambda x: round_to(x, mode))
        if flushing:
            result = fma_flush if result is fma else _flushed(result)
        return Operation((kind,) * count, (kind,), _then(result, saturate) if "sat" in modifiers else result)

    return make


def _then(first: Function, second: Function) -> Function:
    return lambda *values: second(first(*values))


def _flushed(function: Function) -> Function:
    return lambda *values: flush(function(*(flush(v) for v in values)))


def either(integer: Make, floating: Make) -> Make:
    """An instruction of integers, perhaps with carry, and of floats."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
        if kinds[-1] in SINGLE:
            return floating(i, modifiers, kinds) if "cc" not in modifiers else None
        if "cc" in modifiers:
            return carried(i, modifiers, kinds)
        return integer(i, modifiers, kinds) if modifiers <= {"lo", "hi", "wide"} else None

    return make


def of_sign_bit(change: Function) -> Make:
    """`neg` and `abs` of floats: the sign bit alone, so that NaN and denormals stay; with .ftz they are flushed."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        word = DTYPES[f"u{kinds[-1][1:]}"]
        sign, before = word.type(1 << 8 * word.itemsize - 1), flush if "ftz" in modifiers else lambda x: x
        return Operation(kinds, kinds, lambda x: change(before(x).view(word), sign).view(x.dtype))

    return make


# -- comparisons and conversions ----------------------------------------------------------------------------

_ORDERED: Final[Mapping[str, Function]] = {
    "eq": operator.eq,
    "ne": lambda a, b: (a < b) | (a > b),
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "equ": lambda a, b: ~((a < b) | (a > b)),
    "neu": operator.ne,
    "ltu": lambda a, b: ~(a >= b),
    "leu": lambda a, b: ~(a > b),
    "gtu": lambda a, b: ~(a <= b),
    "geu": lambda a, b: ~(a < b),
    "num": lambda a, b: (a == a) & (b == b),
    "nan": lambda a, b: (a != a) | (b != b),
}
_WHOLE: Final = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_WHOLE_UNSIGNED: Final = {"lo": operator.lt, "ls": operator.le, "hi": operator.gt, "hs": operator.ge}
_JOIN: Final[Mapping[str, Function]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
COMPARISONS: Final = _ORDERED.keys() | _WHOLE_UNSIGNED.keys() | _JOIN.keys() | {"ftz"}


def compare(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`setp`: a comparison, joined with a predicate; the second result is that of the opposite comparison."""
    kind, joins = kinds[-1], modifiers & _JOIN.keys()
    table = _ORDERED if kind in SINGLE else _WHOLE | _WHOLE_UNSIGNED
    names = modifiers - joins - {"ftz"}
    if len(names) != 1 or not names <= table.keys() or len(joins) > 1:
        return None
    holds: Function = table[next(iter(names))]
    if "ftz" in modifiers:
        inner, holds = holds, lambda a, b: inner(flush(a), flush(b))
    if not joins:
        return Operation((kind, kind), ("pred", "pred"), lambda a, b: ((t := holds(a, b)), ~t))
    join = _JOIN[next(iter(joins))]

    def compute(a: Array, b: Array, p: Array) -> tuple[Array, Array]:
        found = holds(a, b)
        return join(found, p), join(~found, p)

    return Operation((kind, kind, "pred"), ("pred", "pred"), compute)


def conversion(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`cvt`."""
    if kinds == ("bf16x2", "f32") and modifiers == {"rn"}:
        pair = lambda high, low: to_bf16(high).astype(np.uint32) << np.uint32(16) | to_bf16(low)  # noqa: E731
        return Operation(("f32", "f32"), ("b32",), pair)
    if kinds == ("bf16", "f32") and modifiers == {"rn"}:
        return Operation(("f32",), ("b16",), to_bf16)
    if kinds == ("f32", "bf16") and not modifiers:
        return Operation(
            ("b16",), ("f32",), lambda x: (x.astype(np.uint32) << np.uint32(16)).view(np.float32)
        )
    function = converter(*kinds, modifiers) if len(kinds) == 2 else None
    if function is None:
        return None
    if "ftz" in modifiers and kinds[1] == "f32":
        inner, function = function, lambda x: inner(flush(x))
    return Operation((kinds[1],), ("b32" if kinds[0] == "tf32" else kinds[0],), function)
