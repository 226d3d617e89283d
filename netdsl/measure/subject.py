"""What is measured: a network as a program, with random data to run it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdsl import passes
from netdsl.arrays import Array
from netdsl.backend.target import Target
from netdsl.elaborate import Network
from netdsl.ir import Graph, TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.ops.batch_size import FULL_BATCH, check_batch_size
from netdsl.ops.rebatch import with_batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.runtime.fresh import draw_weights
from netdsl.runtime.room import advising
from netdsl.source import warn
from netdsl.train.computer import computer
from netdsl.train.inputs import network_inputs
from netdsl.train.learner import scalar_feeds
from netdsl.train.optimizers import Optimizer
from netdsl.train.restore import inference_graph
from netdsl.train.sections import Sections, training_sections
from netdsl.train.turn import Turn
from netdsl.train.whole_step import step_graph

SEED = 0
FITS = "--batch {} fits"


@dataclass(frozen=True)
class Subject:
    """A program with the arrays that it is fed; `ops` is the graph of ops that it computes."""

    name: str
    ops: Graph
    batch: int
    training: bool
    program: Program
    feeds: Mapping[str, Array]

    @property
    def mode(self) -> str:
        """In words."""
        return "training step" if self.training else "inference"

    def run(self) -> dict[str, Array]:
        """Run once."""
        return self.program.run(self.feeds)


def prediction(network: Network, target: Target[Any]) -> Subject:
    """A run with fresh weights and random data; NetError where the memory is too small for it."""
    size = network.batch

    def make(samples: int) -> Graph:
        return inference_graph(network.graph, samples, target)

    program = _program(make, size, target)
    feeds = dict(_random(program, {}))
    return Subject(network.name, with_batch(network.graph, size), size, False, program, feeds)


def training_step(network: Network, batch: int | None, device: Target[Any]) -> Subject:
    """A step on so many samples, by default those of the section, with fresh weights and random data.

    Raises NetError where no section says how to train, where the device has not what it asks for, and where a layer
    takes no batch of that size.
    """
    sections = training_sections(network)
    for warning in sections.warnings:
        warn(warning)
    settings, objective = sections.settings, sections.network.objective
    assert objective is not None
    size = batch or _samples(sections)
    check_batch_size(objective, size, FULL_BATCH)
    target = computer(sections.network, settings, device)

    def make(samples: int) -> Graph:
        return passes.training(target).run(step_graph(with_batch(objective, samples), settings))

    program = _program(make, size, target)
    feeds = dict(_random(program, _counts(sections.network)))
    if isinstance(settings.optimizer, Optimizer):
        feeds |= scalar_feeds(settings.optimizer, SEED, Turn(0, 0, settings.optimizer.lr))
    feeds = {name: feeds[name] for name in program.inputs}
    return Subject(network.name, with_batch(objective, size), size, True, program, feeds)


def _samples(sections: Sections) -> int:
    """The batch of a step; a full-batch method goes over the set in pieces."""
    method, size = sections.settings.full_batch, sections.settings.batch
    return size if method is None else min(size, method.piece)


def _program(make: Callable[[int], Graph], size: int, target: Target[Any]) -> Program:
    with advising(size, make, target, FITS):
        program = Program(make(size), target)
    graph = program.graph
    draw_weights((*graph.leaves("param"), *graph.leaves("state")), SEED, program.set)
    return program


def _counts(network: Network) -> dict[str, int]:
    """How many values whole numbers may have: the classes of labels, and room for counts."""
    targets = network_inputs(network).targets
    return {t.name: t.classes or (t.room or 0) + 1 for t in targets if t.integers}


def _random(program: Program, counts: Mapping[str, int]) -> Iterator[tuple[str, Array]]:
    """Numbers of mean 0 and variance 1 for images and the like, from 0 to 1 for targets, whole ones from 0 on."""
    rng = np.random.default_rng(SEED)
    for name, t in program.inputs.items():
        yield name, random_key(SEED, 0) if name == KEY else _array(rng, t, counts.get(name, 2))


def _array(rng: np.random.Generator, t: TensorType, count: int) -> Array:
    if t.dtype == "f32":
        return rng.standard_normal(t.shape, np.float32)
    return rng.integers(0, count, t.shape).astype(NUMPY_DTYPE[t.dtype])
