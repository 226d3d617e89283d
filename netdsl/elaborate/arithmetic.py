"""Operators on settings - exact integers, floats, lists - and on tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from netdsl.elaborate.builtins import SettingError
from netdsl.elaborate.values import Symbol, describe
from netdsl.limits import MAX_INT_BITS, MAX_ITEMS

#: the op behind each operator on tensors
TENSOR_OPS: Mapping[str, str] = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    ">": "greater",
    ">=": "greater_equal",
    "<": "less",
    "<=": "less_equal",
    "==": "equal",
    "!=": "not_equal",
}

_NUMERIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

#: operators on two settings whose result is true or false
COMPARISONS = ("==", "!=", *_ORDER)


def is_number(value: Any) -> bool:
    """An integer or float; booleans are not numbers here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def apply_setting(op: str, a: Any, b: Any) -> Any:
    """`a op b` for settings; raises SettingError with the reason."""
    if op in ("==", "!="):
        same = _comparable(a) == _comparable(b)
        return same if op == "==" else not same
    if op in _ORDER:
        if not (is_number(a) and is_number(b)):
            raise SettingError(f"compares numbers, not {describe(a)} and {describe(b)}")
        return _ORDER[op](a, b)
    if op == "+" and isinstance(a, list) and isinstance(b, list):
        if len(a) + len(b) > MAX_ITEMS:
            raise SettingError(f"makes a list of more than {MAX_ITEMS:_} items")
        return a + b
    if op == "+" and isinstance(a, str) and isinstance(b, str) and not isinstance(a, Symbol):
        return a + b
    if not (is_number(a) and is_number(b)):
        raise SettingError(f"takes numbers, not {describe(a)} and {describe(b)}")
    return _calculate(op, a, b)


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise SettingError("makes a number that is too large") from None


def _comparable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _calculate(op: str, a: Any, b: Any) -> Any:
    if op == "**" and isinstance(a, int) and isinstance(b, int):
        if b < 0:
            return _calculate("**", _float(a), b)
        if abs(a) > 1 and b * abs(a).bit_length() > MAX_INT_BITS:
            raise SettingError(f"makes an integer of more than {MAX_INT_BITS} bits")
    try:
        result = _NUMERIC[op](a, b)
    except ZeroDivisionError:
        raise SettingError("divides by zero") from None
    except OverflowError:
        raise SettingError("makes a number that is too large") from None
    if isinstance(result, complex) or (isinstance(result, float) and not math.isfinite(result)):
        raise SettingError("has no finite result")
    if isinstance(result, int) and result.bit_length() > MAX_INT_BITS:
        raise SettingError(f"makes an integer of more than {MAX_INT_BITS} bits")
    return result
