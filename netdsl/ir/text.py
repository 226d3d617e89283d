"""The text form of graphs; `netdsl.ir.parse` reads it back.

graph {
  %image = input{type=f32[1,28,28,1]}() : f32[1,28,28,1]
  %conv.weight = param{type=f32[5,5,1,6], init="glorot_uniform", fan=(25, 150)}() : f32[5,5,1,6]
  %conv = conv{channels=6, kernel=(5, 5)}(%image, %conv.weight) : f32[1,24,24,6]
  return logits=%conv
  aux head1
  update %bn.running_mean=%bn.new_mean
}
"""

from __future__ import annotations

import base64
from typing import Any

from netdsl.arrays import np
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import TensorType
from netdsl.scalar import Expr, format_expr


def format_graph(graph: Graph) -> str:
    """The graph as text that parses back to an equal graph (spans and origins aside)."""
    lines = ["graph {", *(f"  {format_node(n)}" for n in graph)]
    lines.append("  return " + ", ".join(f"{k}={v}" for k, v in graph.outputs.items()))
    if graph.aux:
        lines.append("  aux " + ", ".join(sorted(graph.aux)))
    lines.extend(f"  update %{leaf}={value}" for leaf, value in graph.updates.items())
    return "\n".join([*lines, "}"])


def format_node(node: Node) -> str:
    """One line: results, op, operands, types."""
    inputs = ", ".join(map(str, node.inputs))
    return f"%{node.id} = {node.op}({inputs}) : {', '.join(map(str, node.types))}"


def format_setting(value: Any) -> str:
    """A setting's value as text."""
    if isinstance(value, Expr):
        return f"`{format_expr(value)}`"
    if isinstance(value, TensorType):
        return str(value)
    if isinstance(value, (bool, type(None))):
        return repr(value).lower()
    if isinstance(value, tuple):
        inner = ", ".join(format_setting(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return f'array("{value.dtype.name}", {format_setting(value.shape)}, "{data}")'
    raise TypeError(f"a setting of type {type(value).__name__} has no text form")
