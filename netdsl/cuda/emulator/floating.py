"""The rules of floats: rounding, flushing, saturation, the small formats and their pairs."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np

from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.numbers import (
    DIRECTED,
    bf16_of_double,
    from_bf16,
    product_sum,
    round_to,
    saturate,
    sum_to_odd,
)
from netdsl.cuda.emulator.operands import DTYPES, Instruction
from netdsl.cuda.emulator.rules import FLOATS, Function, Operation, carried
from netdsl.native.fused import flush, fma, fma_flush


def _pairs(function: Function, half: Function) -> Function:
    """A function of 16 bits on both halves of words."""

    def both(*words: Array) -> Array:
        low = function(*(half((w & np.uint32(0xFFFF)).astype(np.uint16)) for w in words))
        high = function(*(half((w >> np.uint32(16)).astype(np.uint16)) for w in words))
        return bits16(low).astype(np.uint32) | bits16(high).astype(np.uint32) << np.uint32(16)

    return both


def bits16(x: Array) -> Array:
    """The bits of a float of 16 bits."""
    return x.view(np.uint16)


def _as_half(x: Array) -> Array:
    return x.view(np.float16)


def rounded(function: Function, name: str, kind: str, modifiers: Set[str]) -> Function:
    """A function of NumPy's floats as one of a PTX type: rounding, flushing, saturation."""
    if kind.endswith("x2"):
        part = kind[:-2]
        return _pairs(rounded(function, name, part, modifiers), _as_half if part == "f16" else lambda x: x)
    mode = next((m for m in DIRECTED if m in modifiers), "rn")
    if name == "fma":
        result = _fused(kind, mode, "ftz" in modifiers)
    elif kind == "bf16":
        result = _in_double(function, name, lambda x: bf16_of_double(x, mode))
    elif mode != "rn":
        result = _in_double(function, name, lambda x: round_to(x, mode, DTYPES[kind].type))
    else:
        result = function
    if "ftz" in modifiers and kind == "f32" and (name != "fma" or mode != "rn"):
        result = _flushing(result)
    if "relu" in modifiers:
        result = _then(result, lambda x: np.where(x > 0, x, x.dtype.type(0)))
    return _then(result, saturate) if "sat" in modifiers else result


def _in_double(function: Function, name: str, finish: Function) -> Function:
    table: dict[str, Function] = {"add": sum_to_odd, "sub": lambda a, b: sum_to_odd(a, -b)}
    exact = table.get(name, function)

    def compute(*values: Array) -> Array:
        wide = [(from_bf16(v) if v.dtype == np.uint16 else v).astype(np.float64) for v in values]
        return finish(exact(*wide))

    return compute


def _fused(kind: str, mode: str, flushed: bool) -> Function:
    if kind == "bf16":
        return lambda a, b, c: bf16_of_double(
            sum_to_odd(*(from_bf16(a).astype(np.float64) * from_bf16(b), from_bf16(c).astype(np.float64))),
            mode,
        )
    if kind in ("f32", "f64") and mode == "rn":
        chosen: Function = fma_flush if flushed and kind == "f32" else fma
        return chosen
    return lambda a, b, c: product_sum(a, b, c, mode, DTYPES[kind].type)


def _flushing(function: Function) -> Function:
    return lambda *values: flush(function(*(flush(v) for v in values)))


def _then(first: Function, second: Function) -> Function:
    return lambda *values: second(first(*values))


def of_floats(function: Function, count: int) -> Any:
    """Operands and result of one type of float."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
        kind = kinds[-1]
        if kind == "f64" and modifiers & {"rz", "rm", "rp"}:
            return None
        return Operation((kind,) * count, (kind,), rounded(function, i.opcode, kind, modifiers))

    return make


def either(integer: Any, floating: Any) -> Any:
    """An instruction of integers and of floats."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
        chosen = floating if kinds[-1] in FLOATS else integer
        if "cc" in modifiers:
            chosen = carried
        elif chosen is integer and modifiers - {"lo", "hi", "wide"}:
            return None
        found: Operation | None = chosen(i, modifiers, kinds)
        return found

    return make


def extreme(function: Function, integer: Function, propagating: Function) -> Any:
    """`min` and `max`: NaN loses, or wins with .NaN."""

    def choose(a: Array, b: Array) -> Array:
        return (
            function(a, b) if a.dtype != np.float16 else function(a.astype("f4"), b.astype("f4")).astype("f2")
        )

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation | None:
        kind = kinds[-1]
        if kind not in FLOATS:
            return Operation((kind, kind), (kind,), integer) if not modifiers - {"relu"} else None
        chosen = choose
        if "NaN" in modifiers:
            chosen = lambda a, b: np.where(np.isnan(a) | np.isnan(b), propagating(a, b), choose(a, b))  # noqa: E731
        return Operation((kind, kind), (kind,), rounded(chosen, i.opcode, kind, modifiers - {"NaN"}))

    return make


def of_sign_bit(change: Function) -> Any:
    """`neg` and `abs` of floats: the sign bit alone, so that NaN and denormals stay; with .ftz they are flushed."""

    def make(i: Instruction, modifiers: Set[str], kinds: tuple[str, ...]) -> Operation:
        kind = kinds[-1]
        word = DTYPES[kind].itemsize
        sign = int.from_bytes(
            (b"\0\x80" * 2 if kind.endswith("x2") else b"\0" * (word - 1) + b"\x80"), "little"
        )
        mask = np.dtype(f"u{word}").type(sign)

        def compute(x: Array) -> Array:
            return change(x, mask)

        if "ftz" in modifiers and kind == "f32":
            return Operation((kind,), (kind,), lambda x: compute(flush(x).view(np.uint32)))
        return Operation((f"b{8 * word}",), (f"b{8 * word}",), compute)

    return make


def reciprocal_root(x: Array) -> Array:
    """1 / sqrt(x)."""
    return (1.0 / np.sqrt(x.astype(np.float64))).astype(x.dtype)
