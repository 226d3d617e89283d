"""Counts over a graph of ops, per sample: what `expect` claims and reports sum up."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir import Graph, Node
from netdsl.ops.base import LibraryOp
from netdsl.primitives import Param


def count_params(graph: Graph) -> int:
    """Weights trained by gradient, frozen ones included, shared ones once; running statistics are not."""
    return sum(n.types[0].size for n in graph.leaves("param"))


def count_trainable(graph: Graph) -> int:
    """Weights trained by gradient, frozen ones left out."""
    return sum(n.types[0].size for n in graph.leaves("param") if isinstance(n.op, Param) and n.op.trainable)


def count_macs(graph: Graph) -> int:
    """Multiply-adds of one sample in inference, for a graph elaborated with batch size 1."""
    return sum(op.macs(*(graph.type(v) for v in node.inputs)) for node, op in library_nodes(graph))


def count_flops(graph: Graph) -> int:
    """Floating-point operations of one sample in inference, for a graph elaborated with batch size 1."""
    return sum(op.flops(*(graph.type(v) for v in node.inputs)) for node, op in library_nodes(graph))


def library_nodes(graph: Graph) -> Iterator[tuple[Node, LibraryOp]]:
    """The nodes that are library ops, with their op."""
    for node in graph:
        if isinstance(node.op, LibraryOp):
            yield node, node.op
