"""Whether a method fits the other settings of a file, and its network."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.cost import count_trainable
from netdsl.elaborate import CallValue, Network, SectionSetting
from netdsl.ir import Graph
from netdsl.ops.batch_size import check_batch_size
from netdsl.primitives.leaf import learns
from netdsl.source import Diagnostic, Mistakes, NetError, Note
from netdsl.train.full_batch.method import FullBatch
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.full_batch.sizes import sizes
from netdsl.train.full_batch.terms import adds_up, residual_terms
from netdsl.train.make import name_in

TAKEN = ("loss", "metrics", "optimizer", "epochs", "batch", "seed", "checkpoint_seconds", "start", "stop")
"""The settings of `train` that have a meaning for these methods."""
PIECE = "a larger piece"


def check_settings(method: FullBatch, given: Mapping[str, SectionSetting]) -> None:
    """Raise NetError for every setting that changes steps of another kind, such as a schedule."""
    name, problems = name_in(FULL_BATCH, method), Mistakes()
    for key, setting in given.items():
        value = setting.value
        if key in TAKEN or (isinstance(value, CallValue) and value.name == "constant"):
            continue
        message = f"{key} is for optimisers that make one step from one gradient, and {name} is none"
        notes = (Note("the optimizer is set here", given["optimizer"].span),)
        problems.add(
            [Diagnostic("setting", message, setting.span, notes=notes, fix=f"{key} = none takes it back")]
        )
    problems.done()


def check_network(method: FullBatch, network: Network) -> None:
    """Raise NetError where the method cannot train these weights, or this loss."""
    name, problems = name_in(FULL_BATCH, method), Mistakes()
    objective = network.objective
    assert objective is not None
    for node in objective.leaves("param"):
        if learns(node.op) and node.op.lr != 1:
            message = f"{name} has no learning rate that @lr({node.op.lr:g}) could multiply"
            fix = "leave @lr out, or write @freeze to keep the weights as they are"
            problems.add([Diagnostic("setting", message, node.span, fix=fix)])
    with problems.at(network.train["optimizer"].span):
        try:
            method.check_size(count_trainable(network.graph))
        except ValueError as error:
            raise NetError(Diagnostic("setting", str(error))) from None
    if method.residuals:
        with problems.at():
            residual_terms(objective, name)
    problems.done()


def check_pieces(method: FullBatch, objective: Graph, batch: int) -> None:
    """Raise NetError where a layer cannot be trained on the smallest piece of a batch."""
    whole = min(sizes(batch, method.piece))
    smallest = whole if whole > 1 or adds_up(objective) else batch
    check_batch_size(objective, smallest, PIECE)
