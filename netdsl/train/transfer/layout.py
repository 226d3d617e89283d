"""How PyTorch lays out the weights of a layer, and the way from there to ours.

A kernel `[*K, C, F]` is `[F, C, *K]` there.  A dense layer behind `flatten` of a map `[H, W, C]` finds its inputs in
the order `[C, H, W]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.arrays import np
from netdsl.ir import Graph, Node, Value

if TYPE_CHECKING:
    from netdsl.runtime.stored import Array

_OPENING = ("flatten", "reshape")


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a weight in PyTorch."""
    return shape if len(shape) < 2 else (shape[-1], shape[-2], *shape[:-2])


def from_torch(graph: Graph, leaf: Node, array: Array) -> Array:
    """PyTorch's weight of a layer as ours."""
    ours = array if array.ndim < 2 else np.moveaxis(array, (0, 1), (-1, -2))
    place = _place(graph, leaf)
    if place is not None:
        # Inputs of a dense layer are rows; what belongs to single inputs, as in a batch norm, has no other axis.
        ours = ours[place]
    return np.ascontiguousarray(ours)


def _place(graph: Graph, leaf: Node) -> Array | None:
    """Where PyTorch has each input of the layer that a weight belongs to; None where it has the same order."""
    users = [node for node, operand in graph.users(Value(leaf.id)) if operand > 0]
    if not users:
        return None
    user = users[0]
    size, wanted = graph.type(user.inputs[0]).shape[-1], leaf.types[0].shape
    if graph.type(user.inputs[0]).rank != 2 or (user.op.name != "dense" and len(wanted) != 1):
        return None
    if wanted[0] != size or (user.op.name == "dense" and len(wanted) != 2):
        return None
    place = _order(graph, user.inputs[0])
    return None if np.array_equal(place, np.arange(size)) else place


def _order(graph: Graph, value: Value) -> Array:
    """For each number of a row [n, K], its place in PyTorch's row."""
    node, size = graph[value.node], graph.type(value).shape[-1]
    before = [graph.type(v) for v in node.inputs]
    if node.op.name in _OPENING and before[0].rank > 2:
        *space, channels = before[0].shape[1:]
        return np.moveaxis(np.arange(size).reshape(channels, *space), 0, -1).reshape(-1)
    if node.op.name == "concat":
        parts, at = [], 0
        for v in node.inputs:
            parts.append(_order(graph, v) + at)
            at += graph.type(v).shape[-1]
        return np.concatenate(parts)
    if node.op.name != "dense" and before and before[0].shape == graph.type(value).shape:
        return _order(graph, node.inputs[0])
    return np.arange(size)
