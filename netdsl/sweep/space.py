"""What is tried: the values of each setting, all of their combinations, or some drawn at random."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from netdsl.source import counted

Settings = Mapping[str, str]
"""Settings as text, by name."""

MOST = 10_000
"""Trials of one sweep."""
_OPENERS, _CLOSERS = "([{", ")]}"
_RULE = "lo..hi doubles, as 32..512 does, or goes up tenfold, as 0.001..1 does"


@dataclass(frozen=True)
class Swept:
    """A setting and its values; `bounds` are the ends of a range `lo..hi` that stands alone, as written."""

    name: str
    values: tuple[str, ...]
    bounds: tuple[str, str] | None = None


def axis(name: str, text: str, ranges: bool) -> Swept:
    """The values of `NAME=VALUES`: `16,32,64`, `32..512`, or both; commas within brackets and quotes part nothing.

    `ranges`: numbers will be drawn from a range that stands alone, whose ends need no rule then.
    Errors: ValueError for a value that is missing, and for a range that ends where no value of it is.
    """
    parts = [part.strip() for part in _split(text)]
    if not all(parts):
        raise ValueError(f"{name} has a value that is empty: {text}")
    bounds = _bounds(parts[0]) if len(parts) == 1 else None
    if bounds is not None and ranges:
        if not _number(bounds[0]) < _number(bounds[1]):
            raise ValueError(f"{name}: {text} begins where it ends, or above")
        return Swept(name, bounds, bounds)
    found: list[str] = []
    for part in parts:
        ends = _bounds(part)
        found += [part] if ends is None else _between(*ends)
    return Swept(name, tuple(dict.fromkeys(found)), bounds)


def _split(text: str) -> Iterator[str]:
    """The parts between the commas that stand in no brackets and no quotes."""
    depth, quoted, start = 0, "", 0
    for k, letter in enumerate(text):
        if quoted:
            quoted = "" if letter == quoted and text[k - 1] != "\\" else quoted
        elif letter in "\"'":
            quoted = letter
        elif letter in _OPENERS:
            depth += 1
        elif letter in _CLOSERS:
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[start:k]
            start = k + 1
    yield text[start:]


def _bounds(text: str) -> tuple[str, str] | None:
    """The ends of `lo..hi`; None for anything else."""
    low, dots, high = (part.strip() for part in text.partition(".."))
    return (low, high) if dots and _is_number(low) and _is_number(high) else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?", text) is not None


def _number(text: str) -> float:
    return float(text.replace("_", ""))


def _between(low: str, high: str) -> list[str]:
    """From `low` up to `high`, times 2 or times 10."""
    a, b = _number(low), _number(high)
    if not 0 < a < b:
        raise ValueError(f"{low}..{high} does not go up from a number above 0: {_RULE}")
    for factor in (2, 10):
        steps = round(math.log(b / a, factor))
        if math.isclose(a * factor**steps, b, rel_tol=1e-9):
            return [_text(a * factor**k) for k in range(steps + 1)]
    doubled = _text(a * 2 ** math.floor(math.log2(b / a)))
    fix = f"{low}..{doubled} would, and --random draws numbers from {low} to {high}"
    raise ValueError(f"{low}..{high} comes from {low} to {high} neither by doubling nor tenfold; {fix}")


def _text(value: float) -> str:
    """A number as the language writes it."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.10g}"


def trials(axes: Sequence[Swept], draws: int | None, seed: int) -> list[Settings]:
    """All combinations, the last axis changing first, or so many different ones drawn with a seed.

    From a range whole numbers are drawn where both ends are whole, else numbers of four digits; evenly, or by their
    logarithm where the upper end is ten times the lower, or more.  Errors: ValueError for too many, and for more
    draws than there are combinations.
    """
    count = math.prod(_size(a) for a in axes)
    if draws is None:
        if count > MOST:
            raise ValueError(f"{count:,} combinations are more than {MOST:,}; --random draws some of them")
        return [
            dict(zip((a.name for a in axes), values, strict=True))
            for values in itertools.product(*(a.values for a in axes))
        ]
    if draws > min(count, MOST):
        left_out = "" if count > MOST else "; without --random all of them are tried"
        raise ValueError(f"{counted(min(count, MOST), 'combination')} can be drawn, not {draws:,}{left_out}")
    dice, found = random.Random(seed), dict[tuple[str, ...], None]()
    while len(found) < draws:
        found[tuple(_drawn(a, dice) for a in axes)] = None
    return [dict(zip((a.name for a in axes), values, strict=True)) for values in found]


def _whole(a: Swept) -> bool:
    return a.bounds is not None and all(re.fullmatch(r"-?[\d_]+", end) for end in a.bounds)


def _size(a: Swept) -> int:
    """How many values can be drawn, about."""
    if a.bounds is None or len(a.values) > 2:
        return len(a.values)
    low, high = map(_number, a.bounds)
    return int(high - low) + 1 if _whole(a) else MOST


def _drawn(a: Swept, dice: random.Random) -> str:
    if a.bounds is None:
        return a.values[int(dice.random() * len(a.values))]
    low, high = map(_number, a.bounds)
    share = dice.random()
    by_ratio = 0 < 10 * low <= high
    if _whole(a):
        # Each whole number has the stretch up to the next.
        x = low * ((high + 1) / low) ** share if by_ratio else low + share * (high + 1 - low)
        return str(min(math.floor(x), int(high)))
    x = low * (high / low) ** share if by_ratio else low + share * (high - low)
    return f"{min(max(float(f'{x:.4g}'), low), high):.10g}"
