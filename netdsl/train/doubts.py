"""Warnings about settings that are allowed, but probably a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netdsl.cost import count_trainable
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node
from netdsl.source import Diagnostic, Note
from netdsl.train.settings import TrainSettings

#: the activation that each loss applies itself, and the fix where the network applies it too
_OWN: Mapping[str, tuple[str, str]] = {
    "cross_entropy": ("softmax", "cross_entropy takes logits: leave {} out before it; an output may have it"),
    "binary_cross_entropy": ("sigmoid", "leave {} out before it, or say from_logits = false"),
    "focal": ("sigmoid", "focal takes logits: leave {} out before it; an output may have it"),
    "dice": ("sigmoid", "dice takes logits: leave {} out before it; an output may have it"),
}
_SQUASHING = ("softmax", "sigmoid", "hard_sigmoid")
_KEEPING = ("reshape", "flatten", "dropout", "identity")


def doubts(network: Network, settings: TrainSettings) -> tuple[Diagnostic, ...]:
    """Warnings about the loss and the schedule of a network that can be trained."""
    assert network.objective is not None
    found = [*_nothing_trained(network), *_squashed_twice(network.objective)]
    for stretch in settings.stretches:
        text = stretch.schedule.doubt(stretch.epochs)
        if text is not None:
            own = stretch.stage is not None and stretch.stage.schedule is not None
            place = (
                network.train["stages"].place(stretch.number - 1) if own else network.train["schedule"].span
            )
            found.append(Diagnostic("setting", text, place, severity="warning"))
    return tuple(dict.fromkeys(found))


def _nothing_trained(network: Network) -> Iterator[Diagnostic]:
    if not count_trainable(network.graph):
        (first, *_) = network.graph.leaves("input")
        message = "nothing is trained: the net has no weights, or all of them are frozen"
        yield Diagnostic("loss", message, first.span, severity="warning")


def _squashed_twice(objective: Graph) -> Iterator[Diagnostic]:
    for node in objective:
        if node.op.name not in _OWN or not getattr(node.op, "from_logits", True):
            continue
        before = _source(objective, objective[node.inputs[0].node])
        if before.op.name in _SQUASHING:
            own, fix = _OWN[node.op.name]
            message = f"{node.op.name} applies {own} itself, after this {before.op.name}: that learns slowly"
            notes = (Note(f"{node.op.name} is here", node.span),)
            fix = fix.format(before.op.name)
            yield Diagnostic("loss", message, before.span, notes=notes, fix=fix, severity="warning")


def _source(objective: Graph, node: Node) -> Node:
    """The op that made the numbers which a node hands on."""
    while node.op.name in _KEEPING:
        node = objective[node.inputs[0].node]
    return node
