"""The settings of changes: dataclass fields that know their bounds, and are checked when a change is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from netdsl.data.errors import data_error
from netdsl.elaborate.values import shown
from netdsl.source import NetError, brief

BORDERS = ("constant", "reflect", "edge", "wrap")
"""What lies outside of a picture, in NumPy's words: one value; the picture mirrored at the centre of its outermost
pixels; these pixels again and again; the picture again."""
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
"""How a value between pixels comes about: the nearest; of 2 x 2; of 4 x 4 (Keys 1981, a = -0.75)."""

_NONE = dataclasses.MISSING


def number(low: float, high: float, default: Any = _NONE, kw_only: bool = False) -> Any:
    """A field for a number from low to high."""
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"low": low, "high": high})


def whole(low: int, high: int, default: Any = _NONE, kw_only: bool = False) -> Any:
    """A field for a whole number from low to high."""
    found = {"low": low, "high": high, "whole": True}
    return dataclasses.field(default=default, kw_only=kw_only, metadata=found)


def word(known: tuple[str, ...], default: str) -> Any:
    """A field for one of some words."""
    return dataclasses.field(default=default, kw_only=True, metadata={"words": known})


def flag(default: bool = False) -> Any:
    """A field for true or false."""
    return dataclasses.field(default=default, kw_only=True, metadata={"flag": True})


def check(change: Any, name: str) -> None:
    """Check every field of a change by what it may be. Errors: NetError, which begin with the setting's name."""
    for f in dataclasses.fields(change):
        value, limits = getattr(change, f.name), f.metadata
        if value is None and f.default is None:
            continue
        rule = _broken(value, limits)
        if rule is not None:
            raise wrong(f.name, name, rule, value)


def check_order(change: Any, name: str, low: str = "low", high: str = "high") -> None:
    """Check that one setting is not above another. Errors: NetError."""
    least, most = getattr(change, low), getattr(change, high)
    if least > most:
        raise wrong(low, name, f"must not be above {high}, {brief(shown(most))}", least)


def wrong(setting: str, name: str, rule: str, value: object) -> NetError:
    """The error for a value that breaks a rule."""
    return data_error(f"{setting} of {name} {rule}, not {brief(shown(value))}")


def by(sides: Sequence[int]) -> str:
    """Samples by their sides, in words: `samples of 20 x 30`."""
    return f"samples of {' x '.join(map(str, sides))}"


def _broken(value: object, limits: Any) -> str | None:
    """The rule that a value breaks, if any."""
    if "words" in limits:
        return None if value in limits["words"] else f"is one of {', '.join(limits['words'])}"
    if "flag" in limits:
        return None if isinstance(value, bool) else "must be true or false"
    if "low" not in limits:
        return None
    low, high, kind = limits["low"], limits["high"], int if "whole" in limits else int | float
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if fits and low <= value <= high:
        return None
    what = "whole number" if "whole" in limits else "number"
    return f"must be a {what} from {low} to {high}"
