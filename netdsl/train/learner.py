"""The programs that learn: one step at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl import passes
from netdsl.backend.memory import Send, Staged
from netdsl.backend.registry import Device, find_target
from netdsl.data import Batch, Batches
from netdsl.data.feeds import Kind
from netdsl.elaborate import Network
from netdsl.ir import Graph
from netdsl.ops.batch_size import FULL_BATCH, LAST_BATCH, check_batch_size
from netdsl.ops.initializers import initialize
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.runtime.fresh import draw_weights
from netdsl.runtime.room import advising
from netdsl.source import Diagnostic, NetError
from netdsl.train.average import Average
from netdsl.train.callback import Callback
from netdsl.train.diagnose import not_finite
from netdsl.train.freeze import frozen as with_frozen
from netdsl.train.inputs import Inputs, network_inputs
from netdsl.train.measures import Measures
from netdsl.train.optimizers import Optimizer
from netdsl.train.renew import Renewal
from netdsl.train.settings import TrainSettings
from netdsl.train.step import AVERAGE, AVERAGED, HYPER, KEEP, SHARE, training_graph
from netdsl.train.transfer.cut import behind
from netdsl.train.transfer.features import Features, compute_features
from netdsl.train.turn import Turn

Array = NDArray[Any]
FITS = "train.batch = {} fits; train.accumulate makes one update of several batches"
_AVERAGE, _TRAINED = f"/{AVERAGE}", "/trained"


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
        self.program = self._running = self._compile(settings.batch, frozenset(), False, False, None)
        self._programs = {(settings.batch, frozenset[str](), False, False): self.program}
        self._features: tuple[frozenset[str], Features | None] | None = None
        self.counted_from = 0
        leaves = (*self.program.graph.leaves("param"), *self.program.graph.leaves("state"))
        self._leaves = {leaf.id: leaf for leaf in leaves}
        self._averaged = [n.removesuffix(_AVERAGE) for n in self._leaves if n.endswith(_AVERAGE)]
        self._showing = False
        self._renewal = Renewal(self.graph, self.program, settings.seed)
        draw_weights(leaves, settings.seed, self.program.set)
        self.begin()

    @property
    def callbacks(self) -> Sequence[Callback]:
        """None: what the optimiser keeps is in the slots."""
        return ()

    def work(self) -> dict[str, int]:
        """Nothing but steps."""
        return {}

    def ready(self, batches: Batches) -> None:
        """Raise NetError where a layer cannot be trained on the last, smaller batch of an epoch."""
        self._batches, self._features = batches, None
        if self.settings.cache_features and batches.augment:
            message = (
                "cache_features computes a sample once, and augment makes another one of it in each epoch"
            )
            raise NetError(Diagnostic("setting", message, fix="leave one of the two out"))
        if batches.last_size != self.settings.batch:
            self.check_batch(batches.last_size, LAST_BATCH)

    def arrays(self) -> dict[str, Array]:
        """Everything that a checkpoint keeps, by name; averages go by the names of their weights."""
        found = self.program.state_dict()
        for name in self._averaged:
            pair = found[name], found.pop(name + _AVERAGE)
            found[name], found[name + _TRAINED] = pair if self._showing else pair[::-1]
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of everything that a checkpoint keeps, by name."""
        own = {name: leaf.types[0].shape for name, leaf in self._leaves.items()}
        return {_saved(name): shape for name, shape in own.items()}

    @property
    def accumulate(self) -> int:
        """How many batches make one update."""
        return self.settings.accumulate

    @property
    def average(self) -> Average | None:
        """The average that is evaluated and saved in place of the weights."""
        return self.settings.average

    def renew(self, batches: Batches, epoch: int) -> None:
        """Give the averages the statistics that they have over the batches of `epoch`, from 0."""
        self.show(averages=True)
        for name, array in self._renewal.run(batches, epoch).items():
            self.program.set(name, array)
        self.show(averages=False)

    def show(self, averages: bool) -> None:
        """Let the averages take the places of the weights in the program, or the weights their own ones again."""
        if averages != self._showing:
            for name in self._averaged:
                pair = self.program.get(name), self.program.get(name + _AVERAGE)
                self.program.set(name, pair[1])
                self.program.set(name + _AVERAGE, pair[0])
            self._showing = averages

    def check_batch(self, size: int, fix: str) -> None:
        """Raise NetError, with the fix in words, where a layer cannot be trained on batches of `size` samples."""
        check_batch_size(self.objective, size, fix)

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take over weights, statistics and slots, as `arrays` gives them."""
        self._showing = False
        for name in self._leaves:
            self.program.set(name, arrays[_saved(name)])
        for name in self._averaged:
            self.program.set(name, arrays[name + _TRAINED])
            self.program.set(name + _AVERAGE, arrays[name])
        self._running = self.program

    def begin(self) -> None:
        """Empty the optimiser's slots, and let averages begin with the weights: a new run starts."""
        self._showing = False
        for name in self._averaged:
            self.program.set(name + _AVERAGE, self.program.get(name))
        self.forget()

    def forget(self) -> None:
        """Empty the optimiser's slots."""
        for name, leaf in self._leaves.items():
            if "/" in name and not name.endswith(_AVERAGE):
                self.program.set(name, initialize(leaf, self.settings.seed))
        self._running = self.program

    @property
    def send(self) -> Send:
        """Copies batches ahead."""
        return self._target.sender()

    def step(self, batch: Batch, turn: Turn) -> dict[str, Array]:
        """Learn from a batch; returns its `loss` before, and what loss and metrics add up.

        Raises NetError, naming the first layer, when the loss, a weight, a statistic or a slot would not be finite;
        then nothing has changed.
        """
        frozen = frozenset(turn.frozen)
        features = self._cached(frozen, batch.number == 0) if self.settings.cache_features else None
        program = self._program((batch.size, frozen, not turn.last, features is not None))
        scalars = scalar_feeds(self.optimizer, self.settings.seed, turn, self.counted_from)
        feeds = {**batch, **scalars, **(features.of(batch.indices) if features else {})}
        given: dict[str, Array | Staged] = {**feeds, **batch.sent}
        values = program.run({name: given[name] for name in program.inputs})
        if not np.isfinite(values["finite"]):
            objective = self._objective(batch.size, turn.frozen)
            graph = training_graph(objective, self.settings.recipe, not turn.last)
            arrays = {**self.program.state_dict(), **{n.id: feeds[n.id] for n in graph.leaves("input")}}
            raise NetError(not_finite(objective, graph, arrays, turn.step, self.optimizer))
        return values

    def _cached(self, frozen: frozenset[str], check: bool) -> Features | None:
        """What the frozen trunk makes of the samples, computed again where it is another one; None without one."""
        known = self._features
        if known is None or known[0] != frozen or (check and known[1] and not known[1].hold(self.program)):
            graph = self._objective(self.settings.batch, frozen)
            inputs = {feed.name for feed in self.inputs.feeds if feed.kind is Kind.INPUT}
            known = (frozen, compute_features(graph, inputs, self.program, self._batches, self._target))
            self._features = known
        return known[1]

    def _program(self, key: tuple[int, frozenset[str], bool, bool]) -> Program:
        """The program for so many samples that leaves these weights alone, ready for what others made of the rest."""
        if key not in self._programs:
            self._programs[key] = self._compile(*key, self.program)
        program = self._programs[key]
        if program is not self._running:
            program.weights_changed()
        self._running = program
        return program

    def graph(self, size: int) -> Graph:
        """The graph of ops for so many samples."""
        return with_batch(self.objective, size)

    def _objective(self, size: int, frozen: Set[str]) -> Graph:
        objective = self.graph(size)
        return with_frozen(objective, frozen) if frozen else objective

    def _compile(
        self, size: int, frozen: Set[str], gather: bool, cached: bool, share: Program | None
    ) -> Program:
        def make(size: int) -> Graph:
            objective = self._objective(size, frozen)
            if cached and self._features is not None and self._features[1] is not None:
                objective = behind(objective, self._features[1].values)
            graph = training_graph(objective, self.settings.recipe, gather)
            return passes.training(self._target).run(graph)

        with advising(size, make, self._target, FITS):
            return Program(make(size), self._target, share)


def scalar_feeds(optimizer: Optimizer, seed: int, turn: Turn, counted_from: int = 0) -> dict[str, Array]:
    """What a step is fed besides the batch."""
    scalars = optimizer.scalars(turn.update - counted_from, turn.lr, turn.momentum)
    scalars |= {KEEP: float(not turn.first), SHARE: turn.share, AVERAGED: turn.averaged}
    feeds: dict[str, Array] = {HYPER + name: np.asarray(v, np.float32) for name, v in scalars.items()}
    return {**feeds, KEY: random_key(seed, turn.step)}


def _saved(name: str) -> str:
    """What a leaf is called in checkpoints: there the averages have the names of the weights."""
    return name.removesuffix(_AVERAGE) + _TRAINED if name.endswith(_AVERAGE) else name
