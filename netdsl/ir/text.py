"""The text form of graphs; `netdsl.ir.parse` reads it back.

graph {
  %image = input{type=f32[1,28,28,1]}() : f32[1,28,28,1]
  %conv.weight = param{type=f32[5,5,1,6], init="glorot_uniform", fan=(25, 150)}() : f32[5,5,1,6]
  %conv = conv{channels=6, kernel=(5, 5)}(%image, %conv.weight) : f32[1,24,24,6]
  %pool = max_pool{kernel=(2, 2)}(%conv) @gpu(1) : f32[1,12,12,6]
  return logits=%conv
  aux head1
  update %bn.running_mean=%bn.new_mean
}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netdsl.ir.graph import Graph, Node


def format_graph(graph: Graph) -> str:
    """The graph as text that parses back to an equal graph (spans and origins aside)."""
    lines = ["graph {", *(f"  {format_node(n)}" for n in graph)]
    lines.append("  return " + ", ".join(f"{k}={v}" for k, v in graph.outputs.items()))
    if graph.aux:
        lines.append("  aux " + ", ".join(sorted(graph.aux)))
    lines.extend(f"  update %{leaf}={value}" for leaf, value in graph.updates.items())
    return "\n".join([*lines, "}"])


def format_node(node: Node) -> str:
    """One line: results, op, operands, the GPU where there is one, types."""
    inputs = ", ".join(map(str, node.inputs))
    where = "" if node.gpu is None else f" @gpu({node.gpu})"
    return f"%{node.id} = {node.op}({inputs}){where} : {', '.join(map(str, node.types))}"
