"""A batch as the pieces that are computed at a time, and the programs for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property, partial

from netdsl import passes
from netdsl.arrays import Array
from netdsl.backend.registry import Device, find_target
from netdsl.data import Batch
from netdsl.ir import Graph
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.runtime.room import advising
from netdsl.train.freeze import frozen as with_frozen
from netdsl.train.full_batch.graphs import (
    gauss_newton_graph,
    gradient_graph,
    hessian_graph,
    jacobian_graph,
    statistics_graph,
)
from netdsl.train.full_batch.sizes import sizes
from netdsl.train.full_batch.terms import adds_up

FITS = "piece = {} of the optimizer fits"


@dataclass(frozen=True)
class Piece:
    """Samples [begin, end) of a batch, and their share of it."""

    arrays: Mapping[str, Array]
    size: int
    share: float


class Programs:
    """The programs for pieces of a network, all of them over the weights of one, `root`, which computes nothing.

    A loss that does not add up over pieces has one piece, however large; see `adds_up`.
    """

    def __init__(self, objective: Graph, piece: int, method: str, device: Device) -> None:
        self._objective, self._piece, self._target = objective, piece, find_target(device)
        self._make: dict[str, Callable[[Graph], Graph]] = {
            "gradient": gradient_graph,
            "hessian": hessian_graph,
            "jacobian": partial(jacobian_graph, method=method),
            "gauss_newton": partial(gauss_newton_graph, method=method),
            "statistics": statistics_graph,
        }
        self._made: dict[tuple[str, int, frozenset[str]], Program] = {}
        found = gradient_graph(objective)
        leaves = [n for n in found if n.op.name in ("param", "state")]
        self.root = Program(passes.placed(Graph(leaves, {}), self._target.limits), self._target)

    @cached_property
    def adds_up(self) -> bool:
        """Whether a batch may be cut into pieces."""
        return adds_up(self._objective)

    def sizes(self, samples: int) -> list[int]:
        """The sizes of the pieces of a batch."""
        return sizes(samples, self._piece if self.adds_up else samples)

    def pieces(self, batch: Batch) -> Iterator[Piece]:
        """The pieces of a batch, in order."""
        begin = 0
        for size in self.sizes(batch.size):
            arrays = {name: array[begin : begin + size] for name, array in batch.items()}
            yield Piece(arrays, size, size / batch.size)
            begin += size

    def graph(self, kind: str, size: int, frozen: Set[str]) -> Graph:
        """What is computed of a piece of so many samples, before passes."""
        objective = with_batch(self._objective, size)
        return self._make[kind](with_frozen(objective, frozen) if frozen else objective)

    def get(self, kind: str, size: int, frozen: frozenset[str]) -> Program:
        """The program of a kind for so many samples; weights that are frozen get no gradient."""
        key = (kind, size, frozen)
        if key not in self._made:

            def make(samples: int) -> Graph:
                return passes.training(self._target).run(self.graph(kind, samples, frozen))

            with advising(size, make, self._target, FITS if self.adds_up else "{} samples fit"):
                self._made[key] = Program(make(size), self._target, self.root)
        return self._made[key]
