"""Loss and metrics over a whole split, in inference mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netdsl import passes
from netdsl.data import DataPlan
from netdsl.elaborate import Network
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.source import Diagnostic, NetError
from netdsl.train.step import evaluation_graph


@dataclass(frozen=True)
class Inputs:
    """The names of the input that takes the samples and of the one that takes the labels."""

    image: str
    target: str


def input_names(network: Network) -> Inputs:
    """The inputs of a network that data sets can feed; raises NetError when there are more than they have."""
    assert network.objective is not None
    images = [n.id for n in network.graph.leaves("input")]
    targets = [n.id for n in network.objective.leaves("input") if n.id not in images]
    if len(images) != 1 or len(targets) != 1:
        message = f"data sets have samples and labels; the network takes {', '.join([*images, *targets])}"
        raise NetError(Diagnostic("data", message, fix="train in Python, feeding a Program by name"))
    return Inputs(images[0], targets[0])


class Evaluator:
    """Evaluates with the weights of another program; `weights` None: with its own."""

    def __init__(
        self, network: Network, data: DataPlan, weights: Program | None, threads: int | None = None
    ) -> None:
        assert network.objective is not None
        self._objective = network.objective
        self._data = data
        self._weights = weights
        self._threads = threads
        self._inputs = input_names(network)
        self._shape = network.graph[self._inputs.image].types[0].shape[1:]
        self._batch = network.batch
        self._programs: dict[int, Program] = {}

    def program(self, size: int) -> Program:
        """The program for batches of `size` samples; all of them share their weights."""
        if size not in self._programs:
            graph = evaluation_graph(with_batch(self._objective, size))
            share = self._weights or next(iter(self._programs.values()), None)
            self._programs[size] = Program(passes.inference().run(graph), self._threads, share)
        return self._programs[size]

    def run(self, split: str) -> dict[str, float]:
        """The means of loss and metrics over `train`, `validation` or `test`."""
        sums: dict[str, float] = {}
        seen = 0
        for program in self._programs.values():
            program.weights_changed()
        for batch in self._data.evaluation_batches(split, self._batch, self._shape).epoch():
            feeds: dict[str, Any] = {
                self._inputs.image: batch.images[: batch.size],
                self._inputs.target: batch.labels[: batch.size],
            }
            for name, value in self.program(batch.size).run(feeds).items():
                sums[name] = sums.get(name, 0.0) + float(value) * batch.size
            seen += batch.size
        return {name.removeprefix("metric/"): total / seen for name, total in sums.items()}
