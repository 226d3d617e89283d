"""Checks of settings, shared by the ops: each returns the value to store or raises ValueError with a reason.

The caller puts the setting's name in front: "channels must be a positive integer, not 0".
"""

from __future__ import annotations

import re
from typing import Any

from netdsl.ir.types import FLOAT_MAX, FLOAT_MIN

INITIALIZERS = (
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "rademacher",
    "zeros",
    "ones",
    "auto",
)
_WITH_NUMBER = re.compile(r"(constant\(-?|normal\()\d+(\.\d*)?(e[+-]?\d+)?\)")


def positive(value: Any) -> int:
    """A positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"must be a positive integer, not {value!r}")
    return value


def count(value: Any) -> int:
    """An integer from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"must be an integer, 0 or more, not {value!r}")
    return value


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def number(value: Any) -> float:
    """A number that a tensor can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, not {value!r}")
    if not abs(value) <= FLOAT_MAX:
        raise ValueError(f"must be a number up to {FLOAT_MAX:.2e}, as tensors hold them, not {value!r}")
    return float(value)


def integer(value: Any) -> int:
    """An integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be an integer, not {value!r}")
    return value


def label_number(value: Any) -> int | None:
    """The number of a class, or none."""
    return None if value is None else integer(value)


def positive_number(value: Any) -> float:
    """A number above 0, and not so near to it that tensors hold 0 in its place."""
    x = number(value)
    if not x > 0:
        raise ValueError(f"must be above 0, not {value!r}")
    if x < FLOAT_MIN:
        raise ValueError(f"must be at least {FLOAT_MIN:.2e}, as tensors hold numbers, not {value!r}")
    return x


def positive_numbers(value: Any) -> tuple[float, ...]:
    """One number above 0, or several."""
    entries = value if isinstance(value, (tuple, list)) else (value,)
    if not entries:
        raise ValueError("must be one number above 0 or several, not none")
    return tuple(positive_number(v) for v in entries)


def two_positive(value: Any) -> tuple[float, ...]:
    """Two numbers above 0."""
    return _several(value, 2)


def four_positive(value: Any) -> tuple[float, ...]:
    """Four numbers above 0."""
    return _several(value, 4)


def _several(value: Any, count: int) -> tuple[float, ...]:
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise ValueError(f"must be {count} numbers, not {value!r}")
    return positive_numbers(value)


def fraction(value: Any) -> float:
    """A number from 0 up to, not including, 1."""
    x = number(value)
    if not 0 <= x < 1:
        raise ValueError(f"must be at least 0 and below 1, not {value!r}")
    return x


def one_of(*names: str) -> Any:
    """A check for one of the given names."""

    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}, not {value!r}")
        return str(value)

    return check


def initializer(value: Any) -> str:
    """The name of an initialiser, or `constant(x)` / `normal(std)` as the language writes them."""
    text = str(value)
    if text not in INITIALIZERS and not _WITH_NUMBER.fullmatch(text):
        raise ValueError(
            f"must be one of {', '.join(INITIALIZERS)}, constant(x) or normal(std), not {value!r}"
        )
    _, bracket, argument = text.partition("(")
    if bracket and not abs(float(argument.rstrip(")"))) <= FLOAT_MAX:
        raise ValueError(f"must have a number up to {FLOAT_MAX:.2e}, as tensors hold them, not {value!r}")
    return text
