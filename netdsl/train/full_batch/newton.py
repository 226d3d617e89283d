"""Newton's method, damped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.elaborate import shown
from netdsl.source import brief
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.method import LINE_SEARCHES, LineSearched, State
from netdsl.train.full_batch.solve import columns, conjugate_gradients, forced
from netdsl.train.make import bounded

SMALL = 200
"""Weights up to which `solve = auto` makes the whole matrix."""
SOLVERS = ("auto", "exact", "cg")


@dataclass(frozen=True)
class Curved(LineSearched):
    """Base of those that solve `(A + damping I) p = -g`, with a matrix A of second derivatives.

    `solve` is `exact`, by a product for each weight, `cg`, by as many products as it takes, `most` at most, or
    `auto`: exact up to 200 weights.
    """

    choices: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "line_search": LINE_SEARCHES,
        "solve": {name: name for name in SOLVERS},
    }
    damping: float = bounded(0.0, 0.0)
    solve: str = "auto"
    most: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("most", self.most)
        if self.solve not in SOLVERS:
            raise ValueError(f"solve must be one of {', '.join(SOLVERS)}, not {brief(shown(self.solve))}")

    def exact(self, weights: int) -> bool:
        """Whether the whole matrix is made."""
        return self.solve == "exact" or (self.solve == "auto" and weights <= SMALL)

    def check_size(self, weights: int) -> None:
        """Refuse a matrix that is too large."""
        if self.solve == "exact" and weights > 50 * SMALL:
            raise ValueError(
                f"solve = exact makes a product for each of {weights} weights: solve = cg takes fewer"
            )

    def solved(self, f: Function, start: Point, times: Any) -> Array:
        """The direction by conjugate gradients on `times`, products with the matrix."""

        def damped(vector: Array) -> Array:
            found: Array = times(start, vector) + self.damping * vector
            return found

        return conjugate_gradients(damped, -start.gradient, forced(start.gradient), self.most)


@dataclass(frozen=True)
class Newton(Curved):
    """Newton's method with a line search: the direction p solves `(H + damping I) p = -g`, H being the Hessian.

    Where H is `exact`, its eigenvalues count without their signs, so that p falls and leaves saddles (Murray, Gill
    and Picken 1974; Dauphin et al. 2014); conjugate gradients end at negative curvature (Newton-CG: Nocedal and
    Wright 2006, algorithm 7.1).
    """

    def direction(self, f: Function, start: Point, state: State) -> Array:
        """By the eigenvectors of the Hessian, or by conjugate gradients."""
        if not self.exact(len(start.x)):
            return self.solved(f, start, f.hessian_product)
        matrix = columns(lambda v: f.hessian_product(start, v), len(start.x))
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        sizes = np.abs(values)
        smallest = max(f.resolution, 1e-12) * float(sizes.max())
        scaled = (vectors.T @ start.gradient) / (np.maximum(sizes, smallest) + self.damping)
        found: Array = -(vectors @ scaled)
        return found
