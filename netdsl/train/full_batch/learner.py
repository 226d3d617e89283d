"""The learner of the methods that look at a batch several times before they move."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netdsl.arrays import Array
from netdsl.backend.registry import Device
from netdsl.data import Batch, Batches
from netdsl.elaborate import Network
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY
from netdsl.runtime import Program
from netdsl.runtime.fresh import draw_weights
from netdsl.source import Diagnostic, NetError
from netdsl.train.callback import Callback
from netdsl.train.diagnose import not_finite
from netdsl.train.full_batch.check import check_pieces
from netdsl.train.full_batch.function import Point
from netdsl.train.full_batch.layout import FlatLayout
from netdsl.train.full_batch.memory import MethodState
from netdsl.train.full_batch.method import FullBatch
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.full_batch.over_batch import OverBatch
from netdsl.train.full_batch.pieces import Programs
from netdsl.train.inputs import Inputs, network_inputs
from netdsl.train.make import name_in
from netdsl.train.measures import Measures
from netdsl.train.settings import TrainSettings
from netdsl.train.turn import Turn


class FullBatchLearner:
    """Weights, running statistics and what the method keeps; a step is an iteration of the method on its batch.

    `program` holds the weights and statistics, as that of `Learner` does, and computes nothing.  `fixed` says that
    every step has the same samples as they are, so that what was found at the end of one holds at the begin of the
    next, and the method may say that it has converged.  Statistics move once in a step, when it has ended.
    """

    def __init__(self, network: Network, settings: TrainSettings, device: Device = "cpu") -> None:
        assert network.objective is not None and isinstance(settings.optimizer, FullBatch)
        self.settings, self.optimizer = settings, settings.optimizer
        self.inputs: Inputs = network_inputs(network)
        self.objective = network.objective
        self.measures = Measures(network.objective)
        self.name = name_in(FULL_BATCH, self.optimizer)
        self.programs = Programs(network.objective, self.optimizer.piece, self.name, device)
        self.program: Program = self.programs.root
        self.layout = FlatLayout(self.program.graph)
        self.counted_from = 0
        self.fixed = False
        self.memory = MethodState(self)
        draw_weights(self.program.graph, settings.seed, self.program.set)

    @property
    def send(self) -> None:
        """Nothing is sent ahead: pieces of batches are."""
        return None

    @property
    def callbacks(self) -> list[Callback]:
        """What keeps the state of the method in checkpoints, and ends the training where it has converged."""
        return [self.memory]

    def arrays(self) -> dict[str, Array]:
        """Everything that a checkpoint keeps, but for what `callbacks` do, by name."""
        return self.program.state_dict()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of `arrays`."""
        return {n.id: n.types[0].shape for n in self.program.graph}

    def work(self) -> dict[str, int]:
        """How many iterations there were, evaluations of loss and gradient, and products with second derivatives."""
        return self.memory.work()

    def ready(self, batches: Batches) -> None:
        """Raise NetError where a layer cannot be trained on the smallest piece; find out whether batches differ."""
        for size in (batches.batch, batches.last_size):
            check_pieces(self.optimizer, self.objective, size)
        still = len(batches) == 1 and not batches.shuffle and not batches.augment
        size = self.programs.sizes(batches.batch)[0]
        self.fixed = still and KEY not in self.programs.get("gradient", size, frozenset()).inputs

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take over weights and statistics."""
        self.program.load_state_dict(arrays)

    def begin(self) -> None:
        """Forget: a new run starts."""
        self.forget()

    def forget(self) -> None:
        """Empty what the method keeps."""
        self.memory.clear()

    @property
    def accumulate(self) -> int:
        """A batch is as large as it has to be."""
        return 1

    @property
    def average(self) -> None:
        """None: the weights are what is found."""
        return None

    def show(self, averages: bool) -> None:
        """Show the weights, for there are no averages."""

    def renew(self, batches: Batches, epoch: int) -> None:
        """Leave the statistics, for there are no averages."""

    def step(self, batch: Batch, turn: Turn) -> dict[str, Array]:
        """Make an iteration with a batch; returns what loss and metrics add up after it.

        `turn.lr` multiplies the first step that is tried; the weights `turn.frozen` keep their bits.

        Raises NetError, naming the first layer, when the loss or its gradient is not finite, and for a rate or a
        momentum that the method has not; then nothing has changed.
        """
        self._check(turn.lr, turn.momentum)
        number, lr, frozen = turn.step, turn.lr, turn.frozen
        key = (self.settings.seed, number)
        f = OverBatch(self.programs, self.layout, batch, key, frozenset(frozen))
        before = self.layout.joined({name: self.program.get(name) for name in self.layout.shapes})
        try:
            start = self.memory.start(before, self.layout.learning(frozen)) or self._found(
                f, f.at(before), number
            )
            found = self.optimizer.iterate(f, start, self.memory.kept, lr)
            end = self._found(f, found.point, number)
            if end.about is None:
                end = f.evaluated(end.x)
            f.move(end.x)
            f.move_statistics()
        except BaseException:
            f.move(before)
            raise
        self.memory.keep(f, found, end, self.fixed)
        sums: dict[str, Array] = end.about
        return sums

    def _found(self, f: OverBatch, point: Point, number: int) -> Point:
        """A point, found to be finite."""
        if np.isfinite(point.value) and np.isfinite(point.gradient).all():
            return point
        piece, feeds = f.culprit(point.x)
        graph = self.programs.graph("gradient", piece.size, frozenset())
        arrays = {**self.program.state_dict(), **feeds}
        raise NetError(not_finite(with_batch(self.objective, piece.size), graph, arrays, number))

    def _check(self, lr: float, momentum: float | None) -> None:
        """Refuse what a callback has set, and the method does not have."""
        if momentum is not None:
            raise NetError(Diagnostic("setting", f"{self.name} has no momentum that a callback could change"))
        if lr != self.optimizer.lr and not self.optimizer.scales:
            raise NetError(
                Diagnostic("setting", f"{self.name} has no learning rate that a callback could change")
            )
