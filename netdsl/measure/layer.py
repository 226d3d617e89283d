"""Which layer of a file a primitive computes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from netdsl.cost import cost_of
from netdsl.ir import Graph, Node
from netdsl.ops.base import LibraryOp
from netdsl.source import Span


@dataclass(frozen=True)
class Layer:
    """A layer by name, the ops that one kernel computes along with it, and its place in the source."""

    name: str
    along: tuple[str, ...]
    span: Span | None


def layer_of(node: Node, ops: Graph) -> Layer:
    """The layer that a node of primitives comes from: of several the one with the most operations."""
    found = layers_in(node, ops)
    main = max(found, key=lambda name: _weight(name, ops))
    along = tuple(ops[name].op.name for name in reversed(found) if name != main and name in ops)
    return Layer(main, along, node.span or (ops[main].span if main in ops else None))


def layers_in(node: Node, ops: Graph) -> list[str]:
    """All layers that a node of primitives comes from."""
    own = node.origin or (node.id.removeprefix("update of "),)
    return list(dict.fromkeys(_layer(name, ops) for name in own))


def place_text(span: Span | None) -> str:
    """The file, without its folder, and the line: `lenet5.net:6`."""
    return "" if span is None else f"{PurePath(span.source.name).name}:{span.line}"


def _layer(name: str, ops: Graph) -> str:
    """A layer, that of its weights, or what is in none."""
    while name not in ops or not isinstance(ops[name].op, LibraryOp):
        shorter = re.split(r"[./][^./]*$", name)[0]
        if shorter == name:
            return name
        name = shorter
    return name


def _weight(name: str, ops: Graph) -> tuple[int, int]:
    if name not in ops:
        return -1, -1
    op = ops[name].op
    if not isinstance(op, LibraryOp):
        return -1, 0
    cost = cost_of(op, *(ops.type(v) for v in ops[name].inputs))
    return cost.macs, cost.flops


def kind_of(node: Node, updated: Sequence[str]) -> str:
    """What a kernel does, `contract forward`; `updated` are the leaves that it gives new values."""
    if updated:
        return "update of weights"
    role = getattr(node.op, "role", None)
    return node.op.name if role is None else f"{node.op.name} {role}"
