"""Statistics of batch norms, computed anew for averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from netdsl import passes
from netdsl.data import Batch, Batches, Loader
from netdsl.ir import Graph, Node, Value, transform
from netdsl.ops.norm import BatchNorm
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.runtime.container import Array
from netdsl.train.measures import Measures


class Renewal:
    """Runs the training batches of an epoch forward once more and takes the mean of their statistics.

    That is what torch.optim.swa_utils.update_bn does: batches count alike, dropout and augmentation are as in
    training.  Of a layer that is used several times the last use counts.
    """

    def __init__(self, graph: Callable[[int], Graph], weights: Program, seed: int) -> None:
        """`graph` is the graph of ops for so many samples."""
        self._graph, self._weights, self._seed = graph, weights, seed
        self._programs: dict[int, Program] = {}

    def run(self, batches: Batches, epoch: int) -> dict[str, Array]:
        """The statistics of the weights over the batches of `epoch`, from 0, by the names of the running ones."""
        if not self._statistics(batches.batch).outputs:
            return {}
        for program in self._programs.values():
            program.weights_changed()
        total: dict[str, Array] = {}
        with Loader(batches, epoch + 1, (epoch, 0), send=self._weights.device.sender()) as loader:
            for number, batch in enumerate(loader):
                for name, array in self._of(batch, number).items():
                    total[name] = total.get(name, 0.0) + np.asarray(array, np.float64)
        return {name: (array / len(batches)).astype(np.float32) for name, array in total.items()}

    def _of(self, batch: Batch, number: int) -> Mapping[str, Array]:
        if batch.size not in self._programs:
            target = self._weights.device
            graph = passes.training(target).run(self._statistics(batch.size))
            self._programs[batch.size] = Program(graph, target, self._weights)
        program = self._programs[batch.size]
        feeds = {**batch.feeds, KEY: random_key(self._seed, number)}
        return program.run({name: feeds[name] for name in program.inputs})

    def _statistics(self, size: int) -> Graph:
        """A forward pass in training that puts out the statistics of its batch."""
        graph, _ = Measures(_forgetful(self._graph(size))).expanded(training=True)
        return graph.with_outputs(dict(graph.updates), {})


def _forgetful(graph: Graph) -> Graph:
    """The graph of ops with batch norms whose running statistics are those of the last batch."""

    def visit(b: PrimitiveBuilder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if not isinstance(node.op, BatchNorm):
            return None
        op = replace(node.op, momentum=0.0)
        return b.like(node, op, *operands)

    return transform(graph, visit, PrimitiveBuilder())
