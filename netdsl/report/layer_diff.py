"""Differences of one layer: its own settings and weights, and consequences of changes elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from netdsl.ir import Graph, Node
from netdsl.ir.literal import format_setting
from netdsl.primitives import Param, State
from netdsl.report.columns import shape_text
from netdsl.report.summary import Row
from netdsl.source import counted


def settings_changed(a: Node, b: Node) -> Iterator[str]:
    """`kernel 3 -> 5`, defaults included.  An input has a name and a type instead, and the type follows."""
    if a.op.name == "input":
        if a.id != b.id:
            yield f"called {b.id} instead of {a.id}"
        return
    for f in dataclasses.fields(a.op):
        old, new = getattr(a.op, f.name), getattr(b.op, f.name)
        if old != new:
            yield f"{f.name} {_text(old)} -> {_text(new)}"
    if a.gpu != b.gpu:
        yield f"on {_place(b)} instead of {_place(a)}"


def _place(node: Node) -> str:
    return "the device" if node.gpu is None else f"GPU {node.gpu}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "none" if value is None else format_setting(value)


def weights_changed(graphs: tuple[Graph, Graph], a: Node, b: Node, back: Mapping[str, str]) -> Iterator[str]:
    """Whose weights they are, whether they are trained, and how fast; `back` has the old names of the layers."""
    old, new = _weights(graphs[0], a), _weights(graphs[1], b)
    if not old or not new:
        return
    owner, other = (next(iter(ws.values())).id.rpartition(".")[0] for ws in (old, new))
    if (owner == a.id, owner) != (other == b.id, owner if other == b.id else back.get(other, "")):
        yield f"{_owned(other, b)} instead of {_owned(owner, a)}"
    was, now = ([w.op for w in ws.values() if isinstance(w.op, Param)] for ws in (old, new))
    if all(w.trainable for w in was) != all(w.trainable for w in now):
        yield "no longer frozen" if all(w.trainable for w in now) else "frozen"
    rates = [max((w.lr for w in ops), default=1.0) for ops in (was, now)]
    if rates[0] != rates[1]:
        yield f"learning rate x{rates[1]:g} instead of x{rates[0]:g}"


def _weights(graph: Graph, node: Node) -> dict[str, Node]:
    """Weights and statistics by the last part of their name."""
    found = (graph[v.node] for v in node.inputs if graph[v.node].op.name in ("param", "state"))
    return {w.id.rpartition(".")[2]: w for w in found}


def _owned(owner: str, node: Node) -> str:
    return "weights of its own" if owner == node.id else f"the weights of {owner}"


def consequences(graphs: tuple[Graph, Graph], a: Node, b: Node, rows: tuple[Row, Row]) -> Iterator[str]:
    """Type, weights and costs."""
    old, new = a.types[0], b.types[0]
    if old.shape[1:] != new.shape[1:]:
        yield f"{shape_text(old.shape[1:])} -> {shape_text(new.shape[1:])}"
    if old.dtype != new.dtype:
        yield f"{old.dtype} -> {new.dtype}"
    was, now = rows
    if was.params != now.params:
        yield f"{was.params:,} -> {counted(now.params, 'param')}"
    if was.macs != now.macs:
        yield f"{was.macs:,} -> {now.macs:,} MACs"
    elif was.flops != now.flops and (was.params, was.shape) == (now.params, now.shape):
        yield f"{was.flops:,} -> {now.flops:,} FLOPs"
    yield from _starts(graphs, a, b)


def _starts(graphs: tuple[Graph, Graph], a: Node, b: Node) -> Iterator[str]:
    """Initialisers that differ under the same settings: automatic ones depend on the layers that follow."""
    if any(getattr(a.op, name, None) != getattr(b.op, name, None) for name in ("init", "bias_init")):
        return
    old, new = _weights(graphs[0], a), _weights(graphs[1], b)
    for name in (name for name in old if name in new):
        was, now = old[name].op, new[name].op
        if isinstance(was, (Param, State)) and isinstance(now, (Param, State)) and was.init != now.init:
            yield f"{name} starts as {now.init} instead of {was.init}"
