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
UNARY = (*FLOAT_ONLY, "neg", "abs", "sign", "not", "float", "int", *FIXED)
ARITHMETIC = ("add", "sub", "mul", "div", "pow", "max", "min", "floordiv", "mod")
COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")
LOGIC = ("and", "or")
BINARY = (*ARITHMETIC, *COMPARE, *LOGIC)


def literal_dtype(value: Number) -> Dtype:
    """The type of a literal."""
    return "bool" if isinstance(value, bool) else "i64" if isinstance(value, int) else "f32"


def unary_dtype(op: str, x: Dtype) -> Dtype:
    """The type of a function of one operand; raises TypeError for an unknown name."""
    if op not in UNARY:
        raise TypeError(f"no scalar function is called {op}")
    if op in ("not", "int", "float"):
        table: dict[str, Dtype] = {"not": "bool", "int": "i64", "float": "f32"}
        return table[op]
    return "f32" if op in FLOAT_ONLY else x


def binary_dtype(op: str, a: Dtype, b: Dtype) -> Dtype:
    """The type of a function of two operands; raises TypeError for an unknown name."""
    if op not in BINARY:
        raise TypeError(f"no scalar function is called {op}")
    if op in COMPARE or op in LOGIC:
        return "bool"
    return "f32" if op == "div" else promote(promote(a, b), "i64")


def promote(a: Dtype, b: Dtype) -> Dtype:
    """The wider of two types."""
    order: tuple[Dtype, ...] = ("bool", "i64", "f32")
    return order[max(order.index(a), order.index(b))]
