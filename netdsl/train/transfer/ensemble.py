"""Loss and metrics of several networks together: of the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from netdsl import passes
from netdsl.backend.target import Target
from netdsl.data import Batch, DataPlan, Loader
from netdsl.data.probability import mean_outputs, said_again
from netdsl.elaborate import Network
from netdsl.ir import Graph, Value
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.runtime.container import Array
from netdsl.train.inputs import network_inputs
from netdsl.train.meaning import meanings
from netdsl.train.measures import Measures, Sums, Values
from netdsl.train.step import evaluation_graph
from netdsl.train.transfer.cut import before, behind, cut_name


class EnsembleEvaluator:
    """Evaluates networks of one text with several sets of weights, each on samples prepared as in its training.

    Every output of the net becomes the mean over the members: of the probabilities, where it says such, which reach
    the loss as logarithms where it takes logits; else of its numbers.  What the loss takes besides, such as a
    penalty, is the mean of the members' own.
    """

    def __init__(
        self,
        network: Network,
        members: Sequence[tuple[DataPlan, Mapping[str, Array]]],
        batch: int,
        target: Target[Any],
    ) -> None:
        assert network.evaluation is not None
        self._network, self._members, self._batch, self._target = network, members, batch, target
        self._objective = network.evaluation
        self._measures = Measures(network.evaluation)
        self._inputs = network_inputs(network)
        said = meanings(network)
        self._meanings = {v: said.get(name) for name, v in network.graph.outputs.items()}
        self._programs: dict[tuple[int, bool], Program] = {}

    def run(self, split: str) -> Values:
        """Loss and metrics over `train`, `validation` or `test`; raises NetError for data that does not fit."""
        sums: Sums = {}
        with ExitStack() as stack:
            loaders = []
            for data, _ in self._members:
                batches = data.evaluation_batches(split, self._batch, self._inputs.feeds)
                self._inputs.check(batches.outline, split, data.place(split))
                loaders.append(stack.enter_context(Loader(batches, epochs=1)))
            for batch in zip(*loaders, strict=True):
                self._measures.update(sums, self._summed(batch), batch[0].size)
        return self._measures.result(sums)

    def _summed(self, batches: Sequence[Batch]) -> dict[str, Array]:
        """What the batch adds to the sums."""
        cut = self._objective
        trunk, head = self._program(batches[0].size, True), self._program(batches[0].size, False)
        outputs = [self._run(trunk, k, dict(batch), batch.number) for k, batch in enumerate(batches)]
        feeds = dict(batches[0])
        for value, meaning in self._meanings.items():
            name = cut_name(value)
            if cut.type(value).dtype == "f32":
                feeds[name] = said_again(mean_outputs([o[name] for o in outputs], meaning), meaning)
            else:
                feeds[name] = outputs[0][name]
        count = len(batches) if head.weights else 1
        results = [self._run(head, k, feeds, batches[0].number) for k in range(count)]
        return {name: np.mean([r[name] for r in results], axis=0) for name in results[0]}

    def _run(self, program: Program, member: int, feeds: dict[str, Array], number: int) -> dict[str, Array]:
        for name in program.weights:
            program.set(name, self._members[member][1][name])
        if KEY in program.inputs:
            feeds[KEY] = random_key(0, number)
        return program.run({name: feeds[name] for name in program.inputs})

    def _program(self, size: int, trunk: bool) -> Program:
        key = (size, trunk)
        if key not in self._programs:
            graph = self._graph(with_batch(self._objective, size), trunk)
            self._programs[key] = Program(passes.inference(self._target).run(graph), self._target)
        return self._programs[key]

    def _graph(self, objective: Graph, trunk: bool) -> Graph:
        values: list[Value] = list(self._meanings)
        return expand(before(objective, values)) if trunk else evaluation_graph(behind(objective, values))
