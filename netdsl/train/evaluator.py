"""Loss and metrics over a whole split, in inference mode."""

from __future__ import annotations

from netdsl import passes
from netdsl.backend.registry import Device, find_target
from netdsl.data import DataPlan, Loader
from netdsl.elaborate import Network
from netdsl.ir import Graph
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.runtime.room import advising
from netdsl.train.inputs import network_inputs
from netdsl.train.measures import Measures, Sums, Values
from netdsl.train.step import evaluation_graph


class Evaluator:
    """Evaluates with the weights of another program; `weights` None: with its own.

    `batch` is the number of samples per run, which changes only the speed and the rounding of float32.
    """

    def __init__(
        self,
        network: Network,
        data: DataPlan,
        batch: int,
        weights: Program | None = None,
        device: Device = "cpu",
    ) -> None:
        assert network.evaluation is not None
        self._objective = network.evaluation
        self._data = data
        self._batch = batch
        self._weights = weights
        self._target = find_target(device)
        self._inputs = network_inputs(network)
        self._measures = Measures(network.evaluation)
        self._programs: dict[int, Program] = {}

    def program(self, size: int) -> Program:
        """The program for batches of `size` samples; all of them share their weights."""
        if size not in self._programs:
            share = self._weights or next(iter(self._programs.values()), None)
            with advising(size, self._graph, self._target, "eval.batch = {} fits"):
                self._programs[size] = Program(self._graph(size), self._target, share)
        return self._programs[size]

    def _graph(self, size: int) -> Graph:
        graph = evaluation_graph(with_batch(self._objective, size))
        return passes.inference(self._target).run(graph)

    @property
    def criterion(self) -> tuple[str, int]:
        """What tells the best epoch: see `Measures.criterion`."""
        return self._measures.criterion

    @property
    def signs(self) -> dict[str, int]:
        """The values by name, and 1 for those that are to grow, -1 for those that are to fall."""
        return self._measures.signs

    def run(self, split: str) -> Values:
        """Loss and metrics over `train`, `validation` or `test`; raises NetError for data that does not fit."""
        sums: Sums = {}
        for program in self._programs.values():
            program.weights_changed()
        batches = self._data.evaluation_batches(split, self._batch, self._inputs.feeds)
        self._inputs.check(batches.outline, split, self._data.place(split))
        with Loader(batches, epochs=1, send=self._target.sender()) as loader:
            for batch in loader:
                program, feeds = self.program(batch.size), batch.feeds
                if KEY in program.inputs:
                    feeds[KEY] = random_key(0, batch.number)
                self._measures.update(sums, program.run(feeds), batch.size)
        return self._measures.result(sums)
