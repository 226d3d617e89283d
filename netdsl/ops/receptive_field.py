"""Receptive fields: how many input cells, per spatial axis, one output cell can see.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
"""

from __future__ import annotations

from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.ops.conv import Conv
from netdsl.ops.pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from netdsl.ops.spatial import per_axis

Field = tuple[tuple[int, int], ...]


def receptive_field(graph: Graph, value: Value) -> tuple[int, ...]:
    """Cells of the input per spatial axis; the largest over all paths.  Empty for a value without spatial axes.

    Ops that see a whole map (global pooling, flatten) make it the size of the input.
    """
    fields: dict[str, Field | None] = {}
    whole: tuple[int, ...] = ()
    for node in graph:
        if node.op.name == "input":
            whole = node.types[0].shape[1:-1]
            fields[node.id] = ((1, 1),) * len(whole)
        elif node.inputs:
            fields[node.id] = _through(graph, node, fields)
    found = fields.get(value.node)
    return whole if found is None else tuple(size for size, _ in found)


def _through(graph: Graph, node: Node, fields: dict[str, Field | None]) -> Field | None:
    data = [v for v in node.inputs if graph[v.node].inputs or graph[v.node].op.name == "input"]
    known = [fields[v.node] for v in data]
    if not known or any(f is None for f in known) or isinstance(node.op, (GlobalAvgPool, GlobalMaxPool)):
        return None
    spatial = [f for f in known if f]
    rank = max((len(f) for f in spatial), default=0)
    merged = tuple((max(f[k][0] for f in spatial), max(f[k][1] for f in spatial)) for k in range(rank))
    geometry = _geometry(node, graph.type(node.inputs[0]))
    if geometry is None:
        return merged if node.types[0].rank == rank + 2 else None
    return tuple(
        (size + (k - 1) * d * jump, jump * s)
        for (size, jump), (k, s, d) in zip(merged, geometry, strict=True)
    )


def _geometry(node: Node, x: TensorType) -> list[tuple[int, int, int]] | None:
    """Kernel, stride and dilation per axis of ops with windows."""
    if isinstance(node.op, Conv):
        op = node.op.contraction(x)
        kernel = per_axis("kernel", node.op.kernel, x.rank - 2)
        return list(zip(kernel, op.stride, op.dilation, strict=True))
    if isinstance(node.op, (MaxPool, AvgPool)):
        window = node.op.window(x)
        return list(zip(window.size, window.stride, window.dilation, strict=True))
    return None
