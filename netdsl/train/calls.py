"""What the calls in a setting name, such as `[rotate(15), flip]`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from netdsl.data.sources import of_file
from netdsl.elaborate import SectionSetting
from netdsl.source import Diagnostic, Mistakes, NetError, Span, brief
from netdsl.train.make import Hint, make

T = TypeVar("T")


def each_named(
    setting: SectionSetting,
    known: Mapping[str, Any],
    what: str,
    check: Callable[[object], tuple[T, ...]],
    hint: Hint | None = None,
) -> tuple[T, ...]:
    """What the calls of a list name, each checked at its own place."""
    listed = setting.value if isinstance(setting.value, (list, tuple)) else [setting.value]
    problems = Mistakes()
    found: tuple[T, ...] = ()
    for k, value in enumerate(listed):
        with problems.at(setting.place(k)):
            found = (*found, *check([named(value, known, what, setting.place(k), hint)]))
    problems.done()
    return found


def named(value: Any, known: Mapping[str, Any], what: str, span: Span, hint: Hint | None = None) -> Any:
    """What a call names; text is no name in a file."""
    if isinstance(value, str):
        plain = value in known or _is_plain_number(value)
        fix = f"without quotes: {value}" if plain else hint and of_file(value)
        message = f"{brief(json.dumps(value))} is text; a {what} goes by its name"
        raise NetError(Diagnostic("setting", message, span, fix=fix or f"there are {', '.join(known)}"))
    return make(value, known, what, span, hint)


def _is_plain_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdecimal()
