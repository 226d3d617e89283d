"""Dataclasses as JSON and back: a strict reader for the headers of netdsl's own files."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from netdsl.source import brief

T = TypeVar("T")


def _count(value: int) -> int:
    if not 0 <= value < 2**63:
        raise ValueError(f"{_shown(value)} is not a count")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


Count = Annotated[int, _count]
"""An integer from 0 up to what 64 bits hold."""

Finite = Annotated[float, _finite]
"""A number that is neither infinite nor NaN; a plain `float` may be both."""


def to_json(record: Any) -> dict[str, Any]:
    """A dataclass as JSON values, which `from_json` reads back exactly."""
    return dataclasses.asdict(record)


def from_json(kind: type[T], value: object, where: str = "") -> T:
    """The dataclass `kind` that `to_json` made plain.

    Its fields may be `str`, `bool`, `int`, `float`, `Any`, other such dataclasses, tuples and lists of one type,
    mappings from `str`, each or None, and `Annotated` with functions that return what to keep.  Every field must be
    there, nothing else may be.  Errors: ValueError naming the field as `where.field`.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where or kind.__name__} is {_shown(value)}, not an object")
    hints = _hints(kind)  # type: ignore[arg-type]
    if wrong := sorted(map(str, hints.keys() ^ value.keys())):
        verb = "has no" if wrong[0] in hints else "has an unknown"
        raise ValueError(f"{where or kind.__name__} {verb} {_shown(wrong[0])}")
    path = f"{where}." if where else ""
    return kind(**{name: _read(hint, value[name], path + name) for name, hint in hints.items()})


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _read(hint: Any, value: Any, where: str) -> Any:
    """A value of the type that an annotation says."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kept = _read(args[0], value, where)
        return functools.reduce(lambda v, check: _checked(check, v, where), args[1:], kept)
    if origin in (types.UnionType, typing.Union):
        (other,) = (a for a in args if a is not type(None))
        return None if value is None else _read(other, value, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{where} is {_shown(value)}, not a list")
        return origin(_read(args[0], v, f"{where}[{k}]") for k, v in enumerate(value))
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {_shown(value)}, not an object")
        return {name: _read(args[1], v, f"{where}.{name}") for name, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, where)  # type: ignore[arg-type]
    return value if hint is Any else _plain(hint, value, where)


_WORDS = {str: "a text", bool: "true or false", int: "an integer", float: "a number"}


def _plain(kind: type, value: Any, where: str) -> Any:
    # JSON may write 1.0 as 1; a boolean is not accepted as a number.
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise ValueError(f"{where} is {_shown(value)}, not {_WORDS[kind]}")
    return _checked(float, value, where) if kind is float else value


def _checked(check: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return check(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from None


def _shown(value: object) -> str:
    """A value in a message, shortened."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    return (
        brief(repr(value))
        if isinstance(value, (str, int, float, type(None)))
        else f"a {type(value).__name__}"
    )
