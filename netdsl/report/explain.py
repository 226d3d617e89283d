"""Explain a shape: the path from the input, step by step, with the formula of each step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from netdsl.ir import Graph, Node, Value
from netdsl.ops.base import LibraryOp
from netdsl.report.columns import shape_text
from netdsl.terminal import wrapped

LEGEND = "(windows: floor((in + pad before + pad after - dilation * (kernel - 1) - 1) / stride) + 1)"


def explain(graph: Graph, node: Node) -> list[dict[str, Any]]:
    """The steps from the input to a node, along the first operand of each.

    A step has `name`, `op`, `operands` (their shapes), `shape`, `formula` (lines, empty where the shape stays) and
    `span`.
    """
    return [_step(graph, n) for n in reversed(list(_way(graph, node)))]


def _way(graph: Graph, node: Node) -> Iterator[Node]:
    yield node
    while data := _data(graph, node):
        node = graph[data[0].node]
        yield node


def _data(graph: Graph, node: Node) -> list[Value]:
    """The operands that are neither weights nor constants."""
    return [v for v in node.inputs if graph[v.node].op.name not in ("param", "state", "const")]


def _step(graph: Graph, node: Node) -> dict[str, Any]:
    types = [graph.type(v) for v in node.inputs]
    (result, *_) = node.types
    formula = node.op.explain(types, result) if isinstance(node.op, LibraryOp) else ()
    return {
        "name": node.id,
        "op": node.op.name,
        "operands": [list(graph.type(v).shape[1:]) for v in _data(graph, node)],
        "shape": list(result.shape[1:]),
        "formula": list(formula),
        "span": node.span.to_json() if node.span is not None else None,
    }


def render_steps(steps: list[dict[str, Any]], width: int) -> str:
    """The steps as text; neighbours that change nothing take one line together."""
    lines: list[str] = []
    for stays, group in itertools.groupby(steps, key=_stays):
        run = list(group)
        lines += [_stay(run)] if stays else [line for step in run for line in _change(step)]
    if any("floor(" in line for line in lines):
        lines.append(LEGEND)
    return "\n".join(part for line in lines for part in wrapped(line, width, indent=4))


def _stays(step: dict[str, Any]) -> bool:
    return bool(step["operands"]) and step["operands"][0] == step["shape"] and not step["formula"]


def _stay(steps: list[dict[str, Any]]) -> str:
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        return f"{first['name']}: {first['op']} leaves {shape_text(first['shape'])}{_place(first)}"
    count = f"{len(steps)} layers leave {shape_text(first['shape'])}"
    return f"{first['name']} to {last['name']}: {count}{_place(first)}"


def _change(step: dict[str, Any]) -> list[str]:
    before = " and ".join(shape_text(s) for s in step["operands"])
    what = f"{before} -> {shape_text(step['shape'])}" if before else shape_text(step["shape"])
    return [
        f"{step['name']}: {step['op']} {what}{_place(step)}",
        *(f"  {line}" for line in step["formula"]),
    ]


def _place(step: dict[str, Any]) -> str:
    return f"  {step['span']['file']}:{step['span']['line']}" if step["span"] else ""
