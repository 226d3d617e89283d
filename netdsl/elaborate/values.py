"""The two kinds of values: settings, which are Python values, and tensors, which are values of the graph.

Functions - ops, blocks, shared layers - are settings too: they can be passed into blocks and used behind `->`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netdsl.elaborate.definitions import Definitions
from netdsl.ir import Value
from netdsl.ops.base import LibraryOp
from netdsl.source import Span, brief, counted
from netdsl.syntax import tree


class Symbol(str):
    """An undefined name that an op may know, such as `same`."""

    __slots__ = ("span",)
    span: Span

    def __new__(cls, name: str, span: Span) -> Symbol:
        """A string with its place in the source."""
        symbol = super().__new__(cls, name)
        symbol.span = span
        return symbol


@dataclass(frozen=True)
class CallValue:
    """A call that another room evaluates: `sgd(lr = 0.1)`, `shift(2)`, or a name alone such as `mnist.train`.

    `spans` has the place of each setting, by its name or its position.
    """

    name: str
    args: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    span: Span | None = field(default=None, compare=False)
    spans: Mapping[str | int, Span] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Tags:
    """The effect of `@freeze`, `@lr(0.1)`, `@name("fc7")` and `@gpu(1)` on the layers before them."""

    freeze: bool = False
    lr: float = 1.0
    name: str | None = None
    gpu: int | None = None


@dataclass(frozen=True)
class Function:
    """Something that tensors can be fed to, with the settings given so far.

    `target` is an op class, a block (with the file that defines it) or, for a shared layer, another function
    whose weights live under `path`.  `spans` has the place of each named setting, `span` that of the use.
    """

    target: type[LibraryOp] | tree.Block | Function
    span: Span
    args: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    spans: Mapping[str | int, Span] = field(default_factory=dict)
    tags: Tags = Tags()
    home: Definitions | None = None
    path: str | None = None

    @property
    def name(self) -> str:
        """The name in messages."""
        if isinstance(self.target, tree.Block):
            return self.target.name.id
        return self.target.name


@dataclass(frozen=True)
class TargetName:
    """A name in a loss that is not defined: the label, whose type the loss knows."""

    name: str
    span: Span


Tensors = tuple[Value, ...]


def as_tuple(value: Any) -> Any:
    """What a list or an indexed name holds, as a tuple; anything else as it is."""
    if isinstance(value, (dict, list)) and value:
        return tuple(value.values() if isinstance(value, dict) else value)
    return value


def parts(value: Any) -> Iterable[Any]:
    """The parts of a setting: the items of a list or an indexed name, the settings of a function."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, (CallValue, Function)):
        return (*value.args, *value.named.values())
    return ()


def shown(value: Any) -> str:
    """A setting as it is written in a file: `sgd(lr = 0.1)`, `conv(8, 3)`, `[flip]`, `"a.npz"`, `same`, `none`."""
    if isinstance(value, (CallValue, Function)):
        given = [*map(shown, value.args), *(f"{key} = {shown(v)}" for key, v in value.named.items())]
        return f"{value.name}({', '.join(given)})" if given else value.name
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, str):
        return str(value) if isinstance(value, Symbol) else json.dumps(value)
    if isinstance(value, type):
        return value.__name__.lower()
    return str(value).lower() if value is None or isinstance(value, bool) else repr(value)


def in_quotes(values: Any) -> str | None:
    """A hint for names without quotes in a list of texts; None where there are none."""
    listed = values if isinstance(values, (list, tuple)) else [values]
    name = next((v.name for v in listed if isinstance(v, CallValue) and not (v.args or v.named)), None)
    return None if name is None else f'texts stand in quotes: "{name}"'


def describe(value: Any) -> str:
    """A value in words, for messages."""
    if isinstance(value, Value):
        return "a tensor"
    if isinstance(value, Function):
        return f"the function {value.name}"
    if isinstance(value, TargetName):
        return f"the unknown name {value.name}"
    if isinstance(value, Symbol):
        return f"the unknown name {value}"
    if isinstance(value, (bool, type(None))):
        return shown(value)
    if isinstance(value, dict):
        return "an indexed name"
    if isinstance(value, Definitions):
        return "an import"
    if isinstance(value, (int, float, str)):
        return brief(shown(value))
    if isinstance(value, (list, tuple)) and len(value) > 1 and all(isinstance(v, Value) for v in value):
        return f"a {type(value).__name__} of {counted(len(value), 'tensor')}"
    return {"list": "a list", "tuple": "a tuple"}.get(type(value).__name__, "a value")
