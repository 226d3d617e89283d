"""Networks back from checkpoints: to evaluate, and to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from netdsl import passes
from netdsl.data import Normalization
from netdsl.elaborate import Network
from netdsl.ir import Graph, ShapeError
from netdsl.ir.parse import parse_graph
from netdsl.ops import OPS
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.runtime.container import Array
from netdsl.source import Diagnostic, NetError
from netdsl.train.checkpoint import check_arrays, load_checkpoint
from netdsl.train.evaluator import Evaluator
from netdsl.train.settings import data_plan, train_settings


def evaluate_checkpoint(
    network_of: Callable[[int], Network], path: Path, split: str, threads: int | None = None
) -> dict[str, float]:
    """Loss and metrics of a checkpoint's weights on a split; `network_of` elaborates for a batch size."""
    checkpoint = load_checkpoint(path)
    network = network_of(1)
    batch = train_settings(network).evaluation_batch
    normalization = Normalization.from_json(checkpoint.model.normalization)
    data = data_plan(network, checkpoint.run.seed, normalization)
    evaluator = Evaluator(network, data, batch, threads=threads)
    weights = weights_of(network.graph, checkpoint.arrays, str(path))
    evaluator.program(batch).load_state_dict(weights)
    return evaluator.run(split)


def restore_graph(text: str) -> Graph:
    """The graph of ops that an artifact or checkpoint holds; raises NetError when it cannot be read."""
    try:
        return parse_graph(text, OPS)
    except (ValueError, TypeError, ShapeError) as error:
        raise NetError(Diagnostic("artifact", f"the network in the file cannot be read: {error}")) from None


def inference_program(graph: Graph, batch: int, threads: int | None = None) -> Program:
    """A program that predicts `batch` samples at a time; auxiliary heads go, and weights are zeros until set."""
    return Program(passes.inference().run(expand(with_batch(graph, batch))), threads)


def restored_program(
    graph: Graph, arrays: Mapping[str, Array], batch: int, threads: int | None = None
) -> Program:
    """The inference program with the given weights; raises NetError where some are missing or do not fit."""
    weights = weights_of(graph, arrays, "the file")
    program = inference_program(graph, batch, threads)
    for name in program.weights:
        program.set(name, weights[name])
    return program


def weights_of(graph: Graph, arrays: Mapping[str, Array], what: str) -> dict[str, Array]:
    """The weights and statistics of a graph among `arrays`, which may hold optimiser slots too; checked."""
    wanted = {n.id: n.types[0].shape for n in (*graph.leaves("param"), *graph.leaves("state"))}
    present = {name: array for name, array in arrays.items() if name in wanted}
    check_arrays(present, wanted, what)
    return present
