"""From a `Call` of a `.net` file to the object it names, checked."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from netdsl.elaborate import Call
from netdsl.source import Diagnostic, NetError, Span, suggest

FLOAT32_MAX = 3.4e38


def make(value: Any, known: Mapping[str, Any], what: str, span: Span | None) -> Any:
    """The object that a call names, with its settings; raises NetError for unknown names and wrong settings.

    `known` maps names to objects, or to functions and dataclasses that take the settings.
    """
    if not isinstance(value, Call):
        return value
    place = value.span or span
    if value.name not in known:
        near = suggest(value.name, known)
        fix = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise NetError(Diagnostic("setting", f"no {what} is called {value.name}", place, fix=fix))
    target = known[value.name]
    if not callable(target):
        return target
    named = {key: make(v, known, what, span) for key, v in value.named.items()}
    _check_arguments(target, value, what, place)
    try:
        return target(*value.args, **named)
    except (ValueError, TypeError) as error:
        raise NetError(Diagnostic("setting", f"{value.name}: {error}", place)) from None


def _check_arguments(target: Callable[..., Any], call: Call, what: str, place: Span | None) -> None:
    """Refuse settings that the target does not have, or lacks."""
    signature = inspect.signature(target)
    for key in call.named:
        if key not in signature.parameters:
            near = suggest(key, signature.parameters)
            names = ", ".join(signature.parameters) or "none"
            fix = f"did you mean {near}?" if near else f"its settings are {names}"
            raise NetError(Diagnostic("setting", f"{call.name} has no setting {key}", place, fix=fix))
    try:
        signature.bind(*call.args, **call.named)
    except TypeError as error:
        raise NetError(Diagnostic("setting", f"{call.name}: {error}", place)) from None


def check_numbers(owner: Any) -> None:
    """Make the numeric fields of a dataclass floats within the `low` and `high` of their metadata.

    For use in `__post_init__`; raises ValueError naming the field.
    """
    for f in dataclasses.fields(owner):
        value = getattr(owner, f.name)
        if "low" not in f.metadata:
            continue
        low, high = f.metadata["low"], f.metadata["high"]
        if not is_number(value):
            raise ValueError(f"{f.name} must be a number, not {value!r}")
        if not low <= value <= high:
            raise ValueError(f"{f.name} must be from {low} to {high}, not {value}")
        object.__setattr__(owner, f.name, float(value))


def shown(value: Any) -> str:
    """A setting's value as it is written in a file: `sgd(lr = 0.1)`, `[shift(2), flip]`, `"a.npz"`."""
    if isinstance(value, Call):
        given = [*map(shown, value.args), *(f"{key} = {shown(v)}" for key, v in value.named.items())]
        return f"{value.name}({', '.join(given)})" if given else value.name
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, str):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an int or a float; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def bounded(default: float, low: float, high: float = FLOAT32_MAX) -> Any:
    """A dataclass field for a number between bounds."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})
