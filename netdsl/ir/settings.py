"""Checks of settings: each returns the value to store or raises ValueError with a reason.

The caller puts the setting's name in front: "channels must be a positive integer, not 0".  Every
setting of an op passes them, whether it comes from a network or from the text form of a graph.
"""

from __future__ import annotations

import math
import re
from typing import Any

from netdsl.ir.types import FLOAT_MAX, TensorType
from netdsl.limits import MAX_ELEMENTS

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


Init = str | tuple[Any, ...]
"""How a weight starts: a name, or its numbers in nested tuples."""
MAX_NUMBERS = 4096


def _numbers(value: Any) -> Any:
    """Nested lists of numbers as tuples; all rows of an axis have the same shape."""
    if not isinstance(value, (list, tuple)):
        return number(value)
    rows = tuple(map(_numbers, value))
    if not rows or len({numbers_shape(row) for row in rows}) > 1:
        raise ValueError(f"must be numbers in rows of the same length, not {value!r}")
    return rows


def numbers_shape(value: Any) -> tuple[int, ...]:
    """The shape of nested tuples of numbers."""
    return (len(value), *numbers_shape(value[0])) if isinstance(value, tuple) else ()


def positive(value: Any) -> int:
    """A positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"must be a positive integer, not {value!r}")
    return _bounded(value, MAX_ELEMENTS)


def count(value: Any) -> int:
    """An integer of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"must be an integer, 0 or more, not {value!r}")
    return _bounded(value, MAX_ELEMENTS)


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def number(value: Any) -> float:
    """A finite number that fits in a float32."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, not {value!r}")
    if not abs(value) <= FLOAT_MAX:
        raise ValueError(f"must be a number up to {FLOAT_MAX:.2e}, as tensors hold them, not {value!r}")
    return float(value)


def integer(value: Any) -> int:
    """An integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be an integer, not {value!r}")
    return _bounded(value, 2**63 - 1)


def _bounded(value: int, limit: int) -> int:
    """An integer small enough that arithmetic on it overflows neither floats nor 64-bit integers."""
    if abs(value) > limit:
        raise ValueError(f"must be at most {limit:_}, not {value!r}")
    return value


def initializer(value: Any) -> Init:
    """The name of an initialiser, `constant(x)` / `normal(std)` as the language writes them, or the numbers."""
    if isinstance(value, (list, tuple)):
        numbers: tuple[Any, ...] = _numbers(value)
        if (count := math.prod(numbers_shape(numbers))) > MAX_NUMBERS:
            raise ValueError(f"must have {MAX_NUMBERS} numbers at most, not {count}")
        return numbers
    text = str(value)
    if text not in INITIALIZERS and not _WITH_NUMBER.fullmatch(text):
        raise ValueError(
            f"must be one of {', '.join(INITIALIZERS)}, constant(x), normal(std) or a list of numbers, "
            f"not {value!r}"
        )
    _, bracket, argument = text.partition("(")
    if bracket and not abs(float(argument.rstrip(")"))) <= FLOAT_MAX:
        raise ValueError(f"must have a number up to {FLOAT_MAX:.2e}, as tensors hold them, not {value!r}")
    return text


def leaf_initializer(value: Any) -> Init:
    """An initialiser of a leaf; its number may be a setting of its own."""
    return "constant" if value == "constant" else initializer(value)


def tensor_type(value: Any) -> TensorType:
    """The type of a tensor within the limits."""
    if not isinstance(value, TensorType):
        raise ValueError(f"must be a type such as f32[1,28,28,1], not {value!r}")
    if problem := value.over_limits():
        raise ValueError(problem)
    return value


def fans(value: Any) -> tuple[int, int]:
    """`(fan_in, fan_out)`: inputs per output, and outputs per input."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"must be two positive integers, not {value!r}")
    return positive(value[0]), positive(value[1])
