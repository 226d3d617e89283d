"""Restore networks from checkpoints, to evaluate or to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from netdsl import passes
from netdsl.backend.registry import Device, find_target
from netdsl.data import Usage
from netdsl.elaborate import Network
from netdsl.ir import Graph, ShapeError
from netdsl.ir.parse import parse_graph
from netdsl.ops import OPS
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.runtime.artifact import Model
from netdsl.runtime.container import Array
from netdsl.source import Diagnostic, NetError, counted, warn
from netdsl.train.checkpoint import Checkpoint, check_arrays, load_checkpoint
from netdsl.train.evaluator import Evaluator
from netdsl.train.sections import evaluation_sections
from netdsl.train.settings import settings_text


def evaluate_checkpoint(
    network_of: Callable[[int], Network], path: Path, split: str, device: Device = "cpu"
) -> dict[str, float]:
    """Loss and metrics of a checkpoint's weights on a split; `network_of` elaborates for a batch size."""
    checkpoint = load_checkpoint(path)
    network = network_of(1)
    usage = Usage.from_json(checkpoint.model.usage)
    _say_what_holds(checkpoint, network)
    sections = evaluation_sections(network, split, checkpoint.run.seed, usage)
    network, batch = sections.network, sections.settings.evaluation_batch
    assert sections.data is not None
    evaluator = Evaluator(network, sections.data, batch, device=device)
    weights = weights_of(network.graph, checkpoint.arrays, str(path))
    evaluator.program(batch).load_state_dict(weights)
    return evaluator.run(split)


def _say_what_holds(checkpoint: Checkpoint, network: Network) -> None:
    """Warn of settings of the file that the checkpoint's own replace."""
    then, now = checkpoint.run.settings, settings_text(network)
    for name in ("data.preprocess", "data.normalize"):
        was, given = then.get(name, "its default"), now.get(name, "its default")
        if was != given:
            message = f"the weights were trained with {name} = {was}: that holds, not {given}"
            warn(Diagnostic("setting", message, fix="train again to change it"))


def restore_graph(model: Model, path: Path) -> Graph:
    """The graph of ops that an artifact or checkpoint holds, checked; raises NetError with the place in its text."""
    graph = parse_graph(model.graph, OPS, f"graph of {path}")
    if own := [n.id for n in graph if "/" in n.id]:
        raise NetError(Diagnostic("graph", f"{own[0]} in {path} is a name that netdsl keeps for itself"))
    shapes = {n.types[0].shape for n in graph.leaves("input")}
    if () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise NetError(Diagnostic("graph", f"the inputs of the network in {path} are not of one batch"))
    if not graph.outputs.keys() - graph.aux:
        raise NetError(Diagnostic("graph", f"the network in {path} has no output"))
    return graph


def inference_program(graph: Graph, batch: int, device: Device = "cpu") -> Program:
    """A program that predicts `batch` samples at a time; auxiliary heads go, and weights are zeros until set.

    Raises NetError where the network does not take so many samples.
    """
    try:
        primitives = expand(with_batch(graph, batch))
    except ShapeError as error:
        message = f"the network cannot take {counted(batch, 'sample')} at a time: {error.message}"
        raise NetError(Diagnostic("graph", message)) from None
    target = find_target(device)
    return Program(passes.inference(target.limits).run(primitives), target)


def restored_program(
    graph: Graph, arrays: Mapping[str, Array], batch: int, device: Device = "cpu"
) -> Program:
    """The inference program with the given weights.

    Raises NetError where some are missing or do not fit; see also `inference_program`.
    """
    weights = weights_of(graph, arrays, "the file")
    program = inference_program(graph, batch, device)
    for name in program.weights:
        program.set(name, weights[name])
    return program


def weights_of(graph: Graph, arrays: Mapping[str, Array], what: str) -> dict[str, Array]:
    """The weights and statistics of a graph among `arrays`, which may hold optimiser slots too; checked."""
    wanted = {n.id: n.types[0].shape for n in (*graph.leaves("param"), *graph.leaves("state"))}
    present = {name: array for name, array in arrays.items() if name in wanted}
    check_arrays(present, wanted, what)
    return present
