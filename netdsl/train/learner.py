"""The programs that learn: one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl import passes
from netdsl.data import Batch
from netdsl.elaborate import Network
from netdsl.ops.initializers import initialize
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.source import NetError
from netdsl.train.batch_size import FULL_BATCH, check_batch_size
from netdsl.train.diagnose import not_finite
from netdsl.train.inputs import Inputs, network_inputs
from netdsl.train.optimizers import Optimizer
from netdsl.train.schedules import Clock
from netdsl.train.settings import TrainSettings
from netdsl.train.step import HYPER, training_graph

Array = NDArray[Any]


class Learner:
    """Weights, running statistics and optimiser slots, and the program whose runs improve them.

    Weights start from their initialisers.  The last batch of an epoch, where it is smaller, has a program of its
    own over the same weights.
    """

    def __init__(self, network: Network, settings: TrainSettings, threads: int | None = None) -> None:
        assert network.objective is not None
        self.settings = settings
        self.inputs: Inputs = network_inputs(network)
        self._objective = network.objective
        self._threads = threads
        self.check_batch(settings.batch, FULL_BATCH)
        self.program = self._compile(settings.batch, None)
        self._programs = {settings.batch: self.program}
        self._keyed = KEY in self.program.inputs
        slots = settings.optimizer.used_slots()
        weights = [n.id for n in self.program.graph.leaves("param")]
        self._slots = {f"{weight}/{slot}" for weight in weights for slot in slots}
        for leaf in (*self.program.graph.leaves("param"), *self.program.graph.leaves("state")):
            self.program.set(leaf.id, initialize(leaf, settings.seed))

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser of the settings."""
        return self.settings.optimizer

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of everything that a checkpoint keeps, by name."""
        leaves = (*self.program.graph.leaves("param"), *self.program.graph.leaves("state"))
        return {n.id: n.types[0].shape for n in leaves}

    def check_batch(self, size: int, fix: str) -> None:
        """Raise NetError, with the fix in words, where a layer cannot be trained on batches of `size` samples."""
        check_batch_size(self._objective, size, fix)

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take over weights, statistics and slots."""
        self.program.load_state_dict(arrays)
        self._weights_changed()

    def forget(self) -> None:
        """Empty the optimiser's slots: a new run starts."""
        for leaf in self.program.graph.leaves("state"):
            if leaf.id in self._slots:
                self.program.set(leaf.id, initialize(leaf, self.settings.seed))
        self._weights_changed()

    def learning_rate(self, clock: Clock) -> float:
        """The learning rate of a step."""
        return self.settings.schedule.at(self.optimizer.lr, clock)[0]

    def step(self, batch: Batch, clock: Clock) -> dict[str, Array]:
        """Learn from a batch; returns its `loss` before the step, and what loss and metrics add up.

        Raises NetError, naming the first layer, when the loss, a weight, a statistic or a slot would not be finite;
        then nothing has changed.
        """
        program = self._program(batch.size)
        lr, momentum = self.settings.schedule.at(self.optimizer.lr, clock)
        scalars = self.optimizer.scalars(clock.step, lr, momentum)
        feeds = self.inputs.feeds(batch)
        for name, value in scalars.items():
            feeds[HYPER + name] = np.asarray(value, np.float32)
        if self._keyed:
            feeds[KEY] = random_key(self.settings.seed, clock.step)
        values = program.run(feeds)
        if not np.isfinite(values["finite"]):
            objective = with_batch(self._objective, batch.size)
            graph = training_graph(objective, self.optimizer, self.settings.clip_norm)
            raise NetError(
                not_finite(objective, graph, {**program.state_dict(), **feeds}, clock.step, self.optimizer)
            )
        return values

    def _program(self, size: int) -> Program:
        if size not in self._programs:
            self._programs[size] = self._compile(size, self.program)
        return self._programs[size]

    def _compile(self, size: int, share: Program | None) -> Program:
        objective = with_batch(self._objective, size)
        graph = training_graph(objective, self.optimizer, self.settings.clip_norm)
        return Program(passes.training().run(graph), self._threads, share)

    def _weights_changed(self) -> None:
        for program in self._programs.values():
            program.weights_changed()
