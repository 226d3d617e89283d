"""A whole minimisation: iterations until nothing more is to be gained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.arrays import Array
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.method import Ended, FullBatch


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended, after how many iterations, and why; `NOT`: they were too few."""

    point: Point
    iterations: int
    ended: Ended


def iterates(f: Function, x: Array, method: FullBatch) -> Iterator[tuple[Point, Ended]]:
    """The point after each iteration from `x` [n], and why it is the last one, if it is."""
    point, state, ended = f.at(x), method.fresh(len(x)), Ended.NOT
    while not ended:
        found = method.iterate(f, point, state, method.lr)
        point, state, ended = found.point, found.state, found.ended
        yield point, ended


def minimise(f: Function, x: Array, method: FullBatch, iterations: int = 1000) -> Minimum:
    """Minimise a function from `x` [n] on; `f` tells how often it was evaluated for that."""
    for number, (point, ended) in enumerate(iterates(f, x, method), start=1):
        if ended or number == iterations:
            return Minimum(point, number, ended)
    raise AssertionError
