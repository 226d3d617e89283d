"""How a shape came about: the way from the input, step by step, with the formula of every step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netdsl.ir import Graph, Node, Value
from netdsl.ops.base import LibraryOp
from netdsl.report.columns import shape_text
from netdsl.source import Diagnostic, NetError, suggest

LEGEND = "(windows: floor((in + pad before + pad after - dilation * (kernel - 1) - 1) / stride) + 1)"


def find_node(graph: Graph, name: str) -> Node:
    """A layer or an output of the network by name; raises NetError with what comes near."""
    value = graph.outputs.get(name, Value(name))
    if value.node in graph:
        return graph[value.node]
    known = [n.id for n in graph if isinstance(n.op, LibraryOp) or n.op.name == "input"]
    near = suggest(name, [*known, *graph.outputs])
    fix = f"did you mean {near}?" if near else "netdsl shapes lists the layers"
    raise NetError(Diagnostic("name", f"nothing in the network is called {name}", fix=fix))


def explain(graph: Graph, node: Node) -> list[dict[str, Any]]:
    """The steps from the input to a node, along the first operand of each.

    A step has `name`, `op`, `operands` (their shapes), `shape`, `formula` (lines, empty where the shape stays) and
    `span`.
    """
    return [_step(graph, n) for n in reversed(list(_way(graph, node)))]


def _way(graph: Graph, node: Node) -> Iterator[Node]:
    yield node
    while node.inputs:
        node = graph[node.inputs[0].node]
        yield node


def _step(graph: Graph, node: Node) -> dict[str, Any]:
    types = [graph.type(v) for v in node.inputs]
    (result, *_) = node.types
    data = [graph.type(v) for v in node.inputs if graph[v.node].op.name not in ("param", "state")]
    formula = node.op.explain(types, result) if isinstance(node.op, LibraryOp) else ()
    return {
        "name": node.id,
        "op": node.op.name,
        "operands": [list(t.shape[1:]) for t in data],
        "shape": list(result.shape[1:]),
        "formula": list(formula),
        "span": node.span.to_json() if node.span is not None else None,
    }


def render_steps(steps: list[dict[str, Any]]) -> str:
    """The steps as text; those that change nothing take one line together."""
    lines: list[str] = []
    for step in steps:
        place = f"  {step['span']['file']}:{step['span']['line']}" if step["span"] else ""
        if not step["operands"]:
            lines.append(f"{step['name']}: {step['op']} {shape_text(step['shape'])}{place}")
            continue
        before = " and ".join(shape_text(s) for s in step["operands"])
        if step["operands"][0] == step["shape"] and not step["formula"]:
            lines.append(f"{step['name']}: {step['op']} leaves {shape_text(step['shape'])}{place}")
            continue
        lines.append(f"{step['name']}: {step['op']} {before} -> {shape_text(step['shape'])}{place}")
        lines += [f"  {line}" for line in step["formula"]]
    text = "\n".join(lines)
    return f"{text}\n{LEGEND}" if "floor(" in text else text
