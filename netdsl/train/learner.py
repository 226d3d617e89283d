"""The programs that learn: one step at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl import passes
from netdsl.backend.registry import Device, find_target
from netdsl.data import Batch, Batches
from netdsl.elaborate import Network
from netdsl.ir import Graph
from netdsl.ops.batch_size import FULL_BATCH, LAST_BATCH, check_batch_size
from netdsl.ops.initializers import initialize
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.source import NetError
from netdsl.train.callback import Callback
from netdsl.train.diagnose import not_finite
from netdsl.train.freeze import frozen as with_frozen
from netdsl.train.inputs import Inputs, network_inputs
from netdsl.train.measures import Measures
from netdsl.train.optimizers import Optimizer
from netdsl.train.settings import TrainSettings
from netdsl.train.step import HYPER, training_graph

Array = NDArray[Any]


class Learner:
    """Weights, running statistics and optimiser slots, and the programs whose runs improve them.

    Weights start from their initialisers.  `program` holds them all; the last batch of an epoch, where it is smaller,
    and every set of frozen weights have programs of their own over the same memory.  For the optimiser, step
    `counted_from` is the first one: that from which on its slots fill.
    """

    def __init__(self, network: Network, settings: TrainSettings, device: Device = "cpu") -> None:
        assert network.objective is not None and isinstance(settings.optimizer, Optimizer)
        self.settings, self.optimizer = settings, settings.optimizer
        self.inputs: Inputs = network_inputs(network)
        self.objective = network.objective
        self.measures = Measures(network.objective)
        self._target = find_target(device)
        self.check_batch(settings.batch, FULL_BATCH)
        self.program = self._running = self._compile(settings.batch, frozenset(), None)
        self._programs = {(settings.batch, frozenset[str]()): self.program}
        self.counted_from = 0
        self._keyed = KEY in self.program.inputs
        slots = self.optimizer.used_slots()
        weights = [n.id for n in self.program.graph.leaves("param")]
        self._slots = {f"{weight}/{slot}" for weight in weights for slot in slots}
        for leaf in (*self.program.graph.leaves("param"), *self.program.graph.leaves("state")):
            self.program.set(leaf.id, initialize(leaf, settings.seed))

    @property
    def callbacks(self) -> Sequence[Callback]:
        """None: what the optimiser keeps is in the slots."""
        return ()

    def work(self) -> dict[str, int]:
        """Nothing but steps."""
        return {}

    def ready(self, batches: Batches) -> None:
        """Raise NetError where a layer cannot be trained on the last, smaller batch of an epoch."""
        if batches.last_size != self.settings.batch:
            self.check_batch(batches.last_size, LAST_BATCH)

    def arrays(self) -> dict[str, Array]:
        """Everything that a checkpoint keeps, by name."""
        return self.program.state_dict()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of everything that a checkpoint keeps, by name."""
        leaves = (*self.program.graph.leaves("param"), *self.program.graph.leaves("state"))
        return {n.id: n.types[0].shape for n in leaves}

    def check_batch(self, size: int, fix: str) -> None:
        """Raise NetError, with the fix in words, where a layer cannot be trained on batches of `size` samples."""
        check_batch_size(self.objective, size, fix)

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take over weights, statistics and slots."""
        self.program.load_state_dict(arrays)
        self._running = self.program

    def forget(self) -> None:
        """Empty the optimiser's slots: a new run starts."""
        for leaf in self.program.graph.leaves("state"):
            if leaf.id in self._slots:
                self.program.set(leaf.id, initialize(leaf, self.settings.seed))
        self._running = self.program

    def step(
        self,
        batch: Batch,
        number: int,
        lr: float,
        momentum: float | None = None,
        frozen: Set[str] = frozenset(),
    ) -> dict[str, Array]:
        """Make step `number` (from 0) with a batch; returns its `loss` before, and what loss and metrics add up.

        `momentum` None is the optimiser's own; the weights `frozen` keep their bits, and so do their slots.

        Raises NetError, naming the first layer, when the loss, a weight, a statistic or a slot would not be finite;
        then nothing has changed.
        """
        program = self._program(batch.size, frozenset(frozen))
        feeds = dict(batch)
        for name, value in self.optimizer.scalars(number - self.counted_from, lr, momentum).items():
            feeds[HYPER + name] = np.asarray(value, np.float32)
        if self._keyed:
            feeds[KEY] = random_key(self.settings.seed, number)
        values = program.run({name: feeds[name] for name in program.inputs})
        if not np.isfinite(values["finite"]):
            objective = self._objective(batch.size, frozen)
            arrays = {**program.state_dict(), **feeds}
            raise NetError(not_finite(objective, self._graph(objective), arrays, number, self.optimizer))
        return values

    def _program(self, size: int, frozen: frozenset[str]) -> Program:
        """The program for so many samples that leaves these weights alone, ready for what others made of the rest."""
        key = (size, frozen)
        if key not in self._programs:
            self._programs[key] = self._compile(size, frozen, self.program)
        program = self._programs[key]
        if program is not self._running:
            program.weights_changed()
        self._running = program
        return program

    def _objective(self, size: int, frozen: Set[str]) -> Graph:
        objective = with_batch(self.objective, size)
        return with_frozen(objective, frozen) if frozen else objective

    def _graph(self, objective: Graph) -> Graph:
        return training_graph(objective, self.optimizer, self.settings.clip_norm)

    def _compile(self, size: int, frozen: Set[str], share: Program | None) -> Program:
        graph = passes.training(self._target.limits).run(self._graph(self._objective(size, frozen)))
        return Program(graph, self._target, share)
