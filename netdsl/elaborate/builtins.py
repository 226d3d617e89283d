"""Built-in functions of settings: on shapes, numbers and lists."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netdsl.elaborate.values import describe
from netdsl.ir import TensorType
from netdsl.limits import MAX_ITEMS

Number = int | float


class SettingError(Exception):
    """A built-in function refuses its arguments; the message follows the function's name."""


def _height(t: TensorType) -> int:
    if t.rank < 4:
        raise SettingError(f"a tensor of shape {list(t.shape[1:])} has no height")
    return t.shape[-3]


def _width(t: TensorType) -> int:
    if t.rank < 3:
        raise SettingError(f"a tensor of shape {list(t.shape[1:])} has no width")
    return t.shape[-2]


def _channels(t: TensorType) -> int:
    if t.rank < 2:
        raise SettingError("a single number has no channels")
    return t.shape[-1]


#: functions of a tensor's shape
OF_SHAPES: Mapping[str, Callable[[TensorType], Any]] = {
    "channels": _channels,
    "shape": lambda t: list(t.shape[1:]),
    "height": _height,
    "width": _width,
}


def _numbers(values: Sequence[Any]) -> Sequence[Number]:
    flat = values[0] if len(values) == 1 and isinstance(values[0], (list, tuple)) else values
    if not flat:
        raise SettingError("takes one or more numbers")
    for v in flat:
        if isinstance(v, bool) or not isinstance(v, (int, float)):
            raise SettingError(f"takes numbers, not {describe(v)}")
    return flat


def _rounding(function: Callable[[float], int]) -> Callable[..., int]:
    def apply(*values: Any) -> int:
        return function(_one_number(values))

    return apply


def _one_number(values: Sequence[Any]) -> Number:
    if len(values) != 1 or isinstance(values[0], bool) or not isinstance(values[0], (int, float)):
        found = ", ".join(map(describe, values)) or "nothing"
        raise SettingError(f"takes one number, not {found}")
    return values[0]


def _len(*values: Any) -> int:
    if len(values) != 1 or not isinstance(values[0], (list, tuple, dict)):
        raise SettingError("takes one list")
    return len(values[0])


def _sum(*values: Any) -> Number:
    if len(values) == 1 and values[0] in ([], ()):
        return 0
    total = sum(_numbers(values))
    if not abs(total) <= sys.float_info.max:
        raise SettingError("makes a number that is too large")
    return total


def _reversed(*values: Any) -> list[Any]:
    if len(values) != 1 or not isinstance(values[0], (list, tuple)):
        raise SettingError("takes one list")
    return list(reversed(values[0]))


def _range(*values: Any) -> list[int]:
    if not 1 <= len(values) <= 3 or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise SettingError("takes one to three integers")
    if len(values) == 3 and values[2] == 0:
        raise SettingError("takes a step that is not 0")
    start, stop, step = (0, *values, 1) if len(values) == 1 else (*values, 1)[:3]
    count = max(0, -(-(stop - start) // step))
    if count > MAX_ITEMS:
        raise SettingError(f"has more than {MAX_ITEMS:_} items")
    return list(range(start, stop, step))


#: functions of numbers and lists
OF_SETTINGS: Mapping[str, Callable[..., Any]] = {
    "len": _len,
    "min": lambda *v: min(_numbers(v)),
    "max": lambda *v: max(_numbers(v)),
    "abs": lambda *v: abs(_one_number(v)),
    "int": _rounding(int),
    "ceil": _rounding(math.ceil),
    "floor": _rounding(math.floor),
    "round": _rounding(round),
    "sum": _sum,
    "reversed": _reversed,
    "range": _range,
}
