"""The loss of a batch as a function of all weights that learn."""

from __future__ import annotations

import numpy as np

from netdsl.arrays import Array
from netdsl.data import Batch
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.graphs import ALONG, GRADIENT, RESIDUAL, VECTOR
from netdsl.train.full_batch.layout import FlatLayout
from netdsl.train.full_batch.pieces import Piece, Programs
from netdsl.train.measures import PLAIN, SUM


class OverBatch(Function):
    """The pieces of a batch one after the other, what they give added up in float64: the same bits every time.

    Weights are rounded to float32, as the device has them.  What dropout and its like draw depends on `number`, the
    step, and the piece: every evaluation sees the same.  `Point.about` is what loss and metrics add up.
    """

    # Sums of products in float32 agree to about this much.
    resolution = 2.0**-21

    def __init__(
        self,
        programs: Programs,
        layout: FlatLayout,
        batch: Batch,
        key: tuple[int, int],
        frozen: frozenset[str],
    ) -> None:
        super().__init__()
        self._programs, self._layout, self._frozen = programs, layout, frozen
        self._pieces = [*programs.pieces(batch)]
        self._key = key
        self._at: Array | None = None

    def evaluated(self, x: Array) -> Point:
        """The loss, its gradient and the sums of the batch."""
        x = self.move(x)
        loss, gradient, sums = 0.0, np.zeros(self._layout.size), dict[str, Array]()
        for number, piece in enumerate(self._pieces):
            found = self._run("gradient", number, piece)
            loss += piece.share * float(found["loss"])
            gradient += piece.share * self._gradient(found)
            for name, array in found.items():
                if name.startswith((SUM, PLAIN)):
                    weight = piece.share if name.startswith(PLAIN) else 1
                    sums[name] = sums.get(name, 0) + weight * array.astype(np.float64)
        return Point(x, loss, gradient, sums)

    def hessian_times(self, point: Point, vector: Array) -> Array:
        """By a program that holds the whole derivative of the gradient."""
        return self._product("hessian", point, vector)

    def gauss_newton_times(self, point: Point, vector: Array) -> Array:
        """By a program for `2 J'J v`."""
        return self._product("gauss_newton", point, vector)

    def residuals(self, point: Point) -> tuple[Array, Array]:
        """A run for each column of the Jacobian."""
        self.move(point.x)
        rows: list[Array] = []
        columns: list[Array] = []
        for unit in np.eye(self._layout.size):
            column: list[Array] = []
            rows = []
            for number, piece in enumerate(self._pieces):
                found = self._run("jacobian", number, piece, unit)
                scale = np.sqrt(piece.share)
                rows += [scale * found[n].astype(np.float64) for n in found if n.startswith(RESIDUAL)]
                column += [scale * found[n].astype(np.float64) for n in found if n.startswith(ALONG)]
            columns.append(np.concatenate(column))
            self.products += 1
        return np.concatenate(rows), np.stack(columns, axis=1)

    def move(self, x: Array) -> Array:
        """Let the programs have these weights; returns them as they are then."""
        with np.errstate(over="ignore"):
            arrays = self._layout.split(x)
        rounded = self._layout.joined(arrays)
        if self._at is None or not np.array_equal(self._at, rounded, equal_nan=True):
            self._at = rounded
            for name, array in arrays.items():
                if name not in self._frozen:
                    self._programs.root.set(name, array)
        return rounded

    def move_statistics(self) -> None:
        """Let the running statistics take in the batch, piece by piece, with the weights as they are."""
        for number, piece in enumerate(self._pieces):
            if not self._program("statistics", piece).graph.updates:
                return
            self._run("statistics", number, piece)

    def culprit(self, x: Array) -> tuple[Piece, dict[str, Array]]:
        """The first piece whose loss or gradient is not finite at x, and all that its program is fed."""
        self.move(x)
        for number, piece in enumerate(self._pieces):
            found = self._run("gradient", number, piece)
            if not all(np.isfinite(a).all() for a in found.values()):
                break
        return piece, self._feeds(self._program("gradient", piece), number, piece)

    def _product(self, kind: str, point: Point, vector: Array) -> Array:
        self.move(point.x)
        # Vectors of another length than 1 might overflow float32, or lose digits.
        length = float(np.abs(vector).max(initial=0.0)) or 1.0
        total = np.zeros(self._layout.size)
        for number, piece in enumerate(self._pieces):
            total += piece.share * self._gradient(self._run(kind, number, piece, vector / length))
        return total * length

    def _gradient(self, found: dict[str, Array]) -> Array:
        return self._layout.joined(
            {n.removeprefix(GRADIENT): a for n, a in found.items() if n.startswith(GRADIENT)}
        )

    def _run(self, kind: str, number: int, piece: Piece, vector: Array | None = None) -> dict[str, Array]:
        program = self._program(kind, piece)
        with np.errstate(all="ignore"):
            return program.run(self._feeds(program, number, piece, vector))

    def _program(self, kind: str, piece: Piece) -> Program:
        return self._programs.get(kind, piece.size, self._frozen)

    def _feeds(
        self, program: Program, number: int, piece: Piece, vector: Array | None = None
    ) -> dict[str, Array]:
        """What a program takes of a piece, for its own key of random numbers."""
        given = dict(piece.arrays)
        if vector is not None:
            given |= {f"{VECTOR}{name}": a for name, a in self._layout.split(vector).items()}
        if KEY in program.inputs:
            seed, step = self._key
            given[KEY] = random_key(seed, step * len(self._pieces) + number)
        return {name: given[name] for name in program.inputs}
