"""The rules of comparisons, selections and conversions."""

from __future__ import annotations

import operator
from collections.abc import Set
from typing import Final

import numpy as np

from netdsl.cuda.emulator.floating import bits16
from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.numbers import DIRECTED, WHOLE, convert, from_bf16
from netdsl.cuda.emulator.operands import DTYPES, Instruction
from netdsl.cuda.emulator.rules import FLOATS, Function, Operation
from netdsl.native.fused import flush

_ORDERED: Final[dict[str, Function]] = {
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
_INTEGER: Final[dict[str, Function]] = {
    **{name: _ORDERED[name] for name in ("eq", "lt", "le", "gt", "ge")},
    "ne": operator.ne,
    "lo": operator.lt,
    "ls": operator.le,
    "hi": operator.gt,
    "hs": operator.ge,
}
JOIN: Final[dict[str, Function]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
COMPARISONS: Final = frozenset(_ORDERED) | frozenset(_INTEGER)


def _comparison(modifiers: Set[str], kind: str) -> Function | None:
    floating = kind in FLOATS
    names = modifiers & (_ORDERED if floating else _INTEGER).keys()
    if len(names) != 1 or kind.endswith("x2"):
        return None
    compare = (_ORDERED if floating else _INTEGER)[next(iter(names))]
    if "ftz" in modifiers and kind == "f32":
        return lambda a, b: compare(flush(a), flush(b))
    return (lambda a, b: compare(from_bf16(a), from_bf16(b))) if kind == "bf16" else compare


def compare(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`setp`: a comparison, joined with a predicate; the second result is that of the opposite comparison."""
    compare, joins = _comparison(modifiers, kinds[-1]), modifiers & JOIN.keys()
    if compare is None or len(joins) > 1:
        return None
    kind = kinds[-1]
    if not joins:
        return Operation((kind, kind), ("pred", "pred"), lambda a, b: ((t := compare(a, b)), ~t))
    join = JOIN[next(iter(joins))]

    def compute(a: Array, b: Array, p: Array) -> tuple[Array, Array]:
        holds = compare(a, b)
        return join(holds, p), join(~holds, p)

    return Operation((kind, kind, "pred"), ("pred", "pred"), compute)


def set_value(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`set`: a comparison as a number: all ones, or 1.0."""
    if len(kinds) != 2 or kinds[0] not in ("u32", "s32", "f32"):
        return None
    inner = compare(i, modifiers, kinds)
    if inner is None:
        return None
    dtype = DTYPES[kinds[0]]
    yes, function = (
        dtype.type(1 if kinds[0] == "f32" else 2**32 - 1 if kinds[0] == "u32" else -1),
        inner.function,
    )
    return Operation(inner.reads, (kinds[0],), lambda *v: np.where(function(*v)[0], yes, dtype.type(0))[()])


def select(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
    """`selp`."""
    return Operation((kinds[-1], kinds[-1], "pred"), (kinds[-1],), lambda a, b, p: np.where(p, a, b))


def select_by_sign(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`slct`."""
    if len(kinds) != 2 or kinds[1] not in ("s32", "f32"):
        return None
    return Operation((kinds[0], kinds[0], kinds[1]), (kinds[0],), lambda a, b, c: np.where(c >= 0, a, b))


TESTS: Final[dict[str, Function]] = {
    "finite": np.isfinite,
    "infinite": np.isinf,
    "number": lambda x: x == x,
    "notanumber": np.isnan,
    "normal": lambda x: np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny),
    "subnormal": lambda x: (x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny),
}


def test_class(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`testp`."""
    names = modifiers & TESTS.keys()
    return Operation((kinds[-1],), ("pred",), TESTS[names.pop()]) if len(names := set(names)) == 1 else None


MODES: Final = frozenset(["rn", "rna", *DIRECTED, *WHOLE, "ftz", "sat", "satfinite", "relu"])


def conversion(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
    """`cvt`."""
    if len(kinds) != 2:
        return None
    target, source = kinds
    modes = frozenset(modifiers)
    if target in ("bf16x2", "f16x2"):
        if source != "f32":
            return None
        part = target[:-2]

        def pack(high: Array, low: Array) -> Array:
            found = [bits16(convert(x, source, part, modes, DTYPES)).astype(np.uint32) for x in (high, low)]
            return found[0] << np.uint32(16) | found[1]

        return Operation((source, source), ("b32",), pack)
    if source.endswith("x2") or "pred" in kinds:
        return None
    if "satfinite" in modes:
        return None

    def compute(x: Array) -> Array:
        return convert(x, source, target, modes, DTYPES)

    if "ftz" in modes:
        inner = compute
        before = flush if source == "f32" else lambda x: x
        after = flush if target == "f32" else lambda x: x
        return Operation((source,), (target,), lambda x: after(inner(before(x))))
    return Operation((source,), (target,), compute)
