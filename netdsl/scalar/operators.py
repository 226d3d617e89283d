"""The operators of scalar expressions by name, and the type of what each returns."""

from __future__ import annotations

from typing import Literal

Number = float | int | bool
Dtype = Literal["f32", "i64", "bool"]

#: functions of one operand whose result is an f32, also of an i64
FLOAT_ONLY = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "erf",
    "floor",
    "ceil",
    "round",
)
#: functions that return their operand and tell derivatives to hold it fixed
FIXED = ("stop_gradient", "stationary")
#: functions of numbers that have a sign
SIGNED = ("neg", "abs", "sign")
UNARY = (*FLOAT_ONLY, *SIGNED, "not", "float", "int", *FIXED)
ARITHMETIC = ("add", "sub", "mul", "div", "pow", "max", "min", "floordiv", "mod")
COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")
LOGIC = ("and", "or")
BINARY = (*ARITHMETIC, *COMPARE, *LOGIC)

# The types of results; None where it is that of the operands.
_UNARY_DTYPE: dict[str, Dtype | None] = {
    **dict.fromkeys(UNARY),
    **dict.fromkeys(FLOAT_ONLY, "f32"),
    "not": "bool",
    "int": "i64",
    "float": "f32",
}
_BINARY_DTYPE: dict[str, Dtype | None] = {
    **dict.fromkeys(BINARY),
    **dict.fromkeys((*COMPARE, *LOGIC), "bool"),
    "div": "f32",
}
_WIDTH: dict[Dtype, int] = {"bool": 0, "i64": 1, "f32": 2}


def literal_dtype(value: Number) -> Dtype:
    """The type of a literal."""
    return "bool" if isinstance(value, bool) else "i64" if isinstance(value, int) else "f32"


def unary_dtype(op: str, x: Dtype) -> Dtype:
    """The type of a function of one operand; raises TypeError for an unknown name, and for a type that it lacks."""
    if op not in _UNARY_DTYPE:
        raise TypeError(f"no scalar function is called {op}")
    if op in SIGNED and x == "bool":
        raise TypeError(f"{op} takes numbers, and a truth value is none")
    return _UNARY_DTYPE[op] or x


def binary_dtype(op: str, a: Dtype, b: Dtype) -> Dtype:
    """The type of a function of two operands; raises TypeError for an unknown name."""
    if op not in _BINARY_DTYPE:
        raise TypeError(f"no scalar function is called {op}")
    return _BINARY_DTYPE[op] or promote(promote(a, b), "i64")


def promote(a: Dtype, b: Dtype) -> Dtype:
    """The wider of two types."""
    return a if _WIDTH[a] >= _WIDTH[b] else b
