"""Hints: for names of other libraries, and for functions of settings that are applied to tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from netdsl import words
from netdsl.elaborate.definitions import Definitions
from netdsl.elaborate.values import Function
from netdsl.ir import Node, Value
from netdsl.ops import BY_NAME
from netdsl.ops.base import LibraryOp
from netdsl.primitives import Input

#: the op on tensors for each operator or function on settings
OF_TENSORS: Mapping[str, str] = {
    "if": "where(x > 0, a, b) chooses element by element",
    "and": "where(a, where(b, x, y), y) asks for both",
    "or": "where(a, x, where(b, x, y)) asks for one of them",
    "not": "where(condition, y, x) swaps the two",
    "for": "x -> split(n) gives tensors to loop over",
    "the operator **": "x -> power(2)",
    "max(...)": "x -> clip(0) bounds elements, x -> reduce_max finds the largest, where(x > y, x, y) compares two",
    "min(...)": "x -> clip(high = 1) bounds elements, where(x < y, x, y) compares two",
    "sum(...)": "x -> reduce_sum",
}

SETTINGS_OF_SHAPES = "channels(x), shape(x), height(x) and width(x) are settings"


def foreign(name: str, home: Definitions) -> str | None:
    """A hint for a name of another library or of an imported file."""
    plain = words.plain(name)
    ops = [usage(op) for key, op in BY_NAME.items() if key.replace("_", "") == plain]
    imported = [f"{alias}.{name}" for alias, module in home.modules.items() if name in module.blocks]
    exact = [words.layer(name)] if name in words.TURNED else []
    return words.question(next(iter([*imported, *exact, *ops]), words.layer(name)))


def fitting(hint: str | None, nodes: Mapping[str, Node], value: Value) -> str | None:
    """An op's hint, checked against the network; None where the network already does what it says."""
    if hint is None or value.node not in nodes:
        return hint
    if hint.endswith(("pad = same?", "stride = 1?")):
        on_the_way = [*_before(nodes, value)]
        if hint.endswith("stride = 1?") and any(map(_strided, on_the_way)):
            return hint
        return "did you mean pad = same?" if any(map(_unpadded, on_the_way)) else None
    odd = re.match(r"(\d+) is odd", hint)
    return f"{hint}{_even_sizes(nodes, int(odd[1]))}" if odd else hint


def channels_last(nodes: Mapping[str, Node], value: Value) -> str | None:
    """A hint for an input whose sizes suggest that its channels come first."""
    node = nodes.get(value.node)
    if node is None or not isinstance(node.op, Input) or node.types[0].rank != 4:
        return None
    first, height, width = node.types[0].shape[1:]
    return f"channels come last: [{height}, {width}, {first}]" if first <= 4 < min(height, width) else None


def _before(nodes: Mapping[str, Node], value: Value) -> Iterator[Node]:
    """The nodes that a value comes from."""
    seen, left = {value.node}, [value.node]
    while left:
        node = nodes[left.pop()]
        yield node
        fresh = {v.node for v in node.inputs} - seen
        seen |= fresh
        left += fresh


def _unpadded(node: Node) -> bool:
    """Whether a node has a window without padding."""
    window = getattr(node.op, "kernel", getattr(node.op, "size", 1))
    return getattr(node.op, "pad", "same") in ("valid", 0) and any(k != 1 for k in _each(window))


def _strided(node: Node) -> bool:
    """Whether a node has a stride above 1; the stride of a pool is its size by default."""
    stride = getattr(node.op, "stride", 1)
    return any(k != 1 for k in _each(getattr(node.op, "size", 1) if stride is None else stride))


def _each(setting: Any) -> tuple[Any, ...]:
    return setting if isinstance(setting, tuple) else (setting,)


def _even_sizes(nodes: Mapping[str, Node], odd: int) -> str:
    """The layer with the odd size, and input sizes that can be halved as often as the network does."""
    maps = [
        n.types[0].shape
        for n in nodes.values()
        if isinstance(n.op, (LibraryOp, Input)) and n.types[0].rank > 2
    ]
    first = next(
        (n.types[0].shape for n in nodes.values() if isinstance(n.op, Input) and n.types[0].rank > 2), None
    )
    smallest = min((shape[1] for shape in maps if shape[1] > 1), default=0)
    if first is None or not 1 < smallest < first[1] or odd > first[1]:
        return ""
    unit, level = 1 << (first[1] // smallest).bit_length() - 1, 1 << (first[1] // odd).bit_length() - 1
    where = f", at 1/{level} of the input" if level > 1 else ""
    return f"{where}; inputs whose sizes divide by {unit} fit, such as {-(-first[1] // unit) * unit}"


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
    """A hint to make a tensor of another value."""
    return f"feed it: x -> {text}" if isinstance(value, Function) else one_of(value, text)
