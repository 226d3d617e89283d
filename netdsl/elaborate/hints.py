"""What to write instead: for habits from other libraries, and for settings that are asked of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from netdsl import words
from netdsl.elaborate.definitions import Definitions
from netdsl.elaborate.values import Function
from netdsl.ir import Value
from netdsl.ops import BY_NAME
from netdsl.ops.base import LibraryOp

#: what does with tensors, element by element, what these do with settings
OF_TENSORS: Mapping[str, str] = {
    "if": "where(x > 0, a, b) chooses element by element",
    "and": "where(a, where(b, x, y), y) asks for both",
    "or": "where(a, x, where(b, x, y)) asks for one of them",
    "not": "where(condition, y, x) turns it around",
    "for": "x -> split(n) gives tensors to go through",
    "the operator **": "x -> power(2)",
    "max(...)": "x -> clip(0) bounds elements, x -> reduce_max finds the largest, where(x > y, x, y) compares two",
    "min(...)": "x -> clip(high = 1) bounds elements, where(x < y, x, y) compares two",
    "sum(...)": "x -> reduce_sum",
}

SETTINGS_OF_SHAPES = "channels(x), shape(x), height(x) and width(x) are settings"


def foreign(name: str, home: Definitions) -> str | None:
    """What to write for what another library, or a file imported under a name, calls like this."""
    plain = words.plain(name)
    ops = [usage(op) for key, op in BY_NAME.items() if key.replace("_", "") == plain]
    imported = [f"{alias}.{name}" for alias, module in home.modules.items() if name in module.blocks]
    exact = [words.layer(name)] if name in words.TURNED else []
    return words.question(next(iter([*imported, *exact, *ops]), words.layer(name)))


def required(op: type[LibraryOp]) -> tuple[str, ...]:
    """The settings that an op needs."""
    return tuple(f.name for f in fields(op) if f.default is MISSING)


def usage(op: type[LibraryOp]) -> str:
    """An op with the settings that it needs: `conv(channels, kernel)`."""
    return f"{op.name}({', '.join(required(op))})" if required(op) else op.name


def one_of(values: Any, text: str) -> str | None:
    """How to take one of the tensors of a list, a tuple or an indexed name, which is written `text`."""
    if isinstance(values, dict) and values:
        return f"{text}[{next(iter(values))}] is one of them"
    if isinstance(values, (list, tuple)) and len(values) > 1 and all(isinstance(v, Value) for v in values):
        return f"{text}[0] is the first of them" if text.isidentifier() else "give them names: a, b = ..."
    return None


def a_block(value: Any, text: str) -> str | None:
    """How to use what an import brings in under the name `text`."""
    blocks = list(value.blocks) if isinstance(value, Definitions) else []
    return f"its blocks are used as {text}.{blocks[0]}" if blocks else None


def feed(value: Any, text: str) -> str | None:
    """How to make a tensor of what is not one."""
    return f"feed it: x -> {text}" if isinstance(value, Function) else one_of(value, text)
