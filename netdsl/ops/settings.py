"""Checks of settings that ops share, besides those of `netdsl.ir.settings`."""

from __future__ import annotations

from typing import Any

from netdsl.ir.settings import Init, boolean, count, initializer, integer, number, positive
from netdsl.ir.types import FLOAT_MIN
from netdsl.source import counted

__all__ = [
    "Init",
    "boolean",
    "count",
    "fraction",
    "four_positive",
    "initializer",
    "integer",
    "label_number",
    "number",
]
__all__ += ["one_of", "positive", "positive_number", "positive_numbers", "two_positive"]


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
        raise ValueError(f"must be {counted(count, 'number')}, not {value!r}")
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
