"""The meaning of a network's outputs to its loss: logits of classes, probabilities, or neither."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.data import DataPlan, Meaning, Said, Usage
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, Value
from netdsl.ops.cross_entropy import CrossEntropy
from netdsl.ops.elementwise_loss import BinaryCrossEntropy, Focal
from netdsl.ops.metric import TopKAccuracy
from netdsl.train.inputs import network_inputs

_MADE_BY = {"softmax": Meaning.probabilities, "log_softmax": Meaning.log_probabilities}


def usage_of(network: Network, data: DataPlan) -> Usage:
    """What a checkpoint of this network, trained on this data, carries beside it."""
    feeds = network_inputs(network).feeds
    classes = data.classes(feeds)
    outputs = {name: Said(m, _names(network, name, classes)) for name, m in meanings(network).items()}
    return Usage(data.preparations(feeds), outputs, data.reading(feeds))


def _names(network: Network, output: str, classes: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The names of the classes of an output: those of the target that it, or what it is made of, is compared with.

    Where all targets with names have the same, these are the names.
    """
    if len(set(classes.values())) < 2:
        return next(iter(classes.values()), None)
    graph = network.objective or network.graph
    targets = (_source(graph, node.inputs[1]) for node in _comparing(graph, network.graph.outputs[output]))
    return next((classes[name] for name in targets if name in classes), None)


def compared(network: Network, output: str) -> Node | None:
    """The first loss or metric that compares an output, or what it is made of, with a target as it is fed."""
    graph = network.objective or network.graph
    nodes = _comparing(graph, network.graph.outputs[output])
    fed = (
        n
        for n in nodes
        if graph[n.inputs[1].node].op.name == "input" and n.inputs[1].node not in network.graph
    )
    return next(fed, None)


def _comparing(graph: Graph, value: Value) -> list[Node]:
    """The nodes whose first operand is a value, or what that is made of, and that have a second one."""
    values = [value, *graph[value.node].inputs[:1]]
    return [node for v in values for node, operand in graph.users(v) if operand == 0 and len(node.inputs) > 1]


def _source(graph: Graph, value: Value) -> str:
    """The leaf that an operand is, or is the largest class of."""
    node = graph[value.node]
    return node.inputs[0].node if node.op.name == "argmax" else node.id


def meanings(network: Network) -> dict[str, Meaning]:
    """What each output says; those that are not about classes are missing.

    An output of softmax or log_softmax is probabilities or their logarithms.  The meaning of others comes from the
    loss; a metric that ranks an output makes it scores.  A sigmoid alone says nothing: pictures end in one too.
    """
    graph = network.objective or network.graph
    found = {name: _meaning(graph, value) for name, value in network.graph.outputs.items()}
    return {name: meaning for name, meaning in found.items() if meaning is not None}


def _meaning(graph: Graph, value: Value) -> Meaning | None:
    node = graph[value.node]
    if node.op.name in _MADE_BY:
        return _MADE_BY[node.op.name]
    if node.op.name == "sigmoid" and _meaning(graph, node.inputs[0]) is Meaning.binary_logits:
        return Meaning.binary_probabilities
    read = {_read_by(node) for node, operand in graph.users(value) if operand == 0}
    return next((meaning for meaning in Meaning if meaning in read), None)


def _read_by(node: Node) -> Meaning | None:
    op = node.op
    if isinstance(op, CrossEntropy):
        return Meaning.logits
    if isinstance(op, BinaryCrossEntropy):
        return Meaning.binary_logits if op.from_logits else Meaning.binary_probabilities
    if isinstance(op, Focal):
        return Meaning.binary_logits
    return Meaning.scores if isinstance(op, TopKAccuracy) else None
