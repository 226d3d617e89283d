"""What a method keeps from one iteration to the next, and how it gets into checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from netdsl.arrays import Array
from netdsl.train.callback import Callback
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.method import Ended, Iteration, State
from netdsl.train.measures import Values

if TYPE_CHECKING:
    from netdsl.train.full_batch.learner import FullBatchLearner
    from netdsl.train.loop import Loop

COUNTS, METHOD = ("iterations", "evaluations", "products"), "method/"


class MethodState(Callback):
    """The state of the method, the gradient at the weights as they are, counts, and whether all has been done."""

    def __init__(self, learner: FullBatchLearner) -> None:
        self._learner = learner
        self.clear()

    def clear(self) -> None:
        """As before the first iteration."""
        size, shapes = self._learner.layout.size, self._learner.layout.shapes
        self.kept: State = self._learner.optimizer.fresh(size)
        self._learning = np.ones(len(shapes), np.int64)
        self._value, self._gradient, self._known = np.zeros(()), np.zeros(size), False
        self._x: Array | None = None
        self._counts = np.zeros(len(COUNTS), np.int64)
        self.ended = Ended.NOT

    def start(self, x: Array, learning: Array) -> Point | None:
        """The point where the last iteration ended, if the loss is the same function still; else None.

        Other weights that learn, 1 for each, make another function: then the state is forgotten.
        """
        if not np.array_equal(learning, self._learning):
            self._learning, self._known = learning, False
            self.kept = self._learner.optimizer.fresh(len(x))
        moved = self._x is not None and not np.array_equal(x, self._x)
        return Point(x, float(self._value), self._gradient) if self._known and not moved else None

    def keep(self, f: Function, found: Iteration, end: Point, fixed: bool) -> None:
        """Take down an iteration; `fixed` says that the next one has the same samples."""
        self.kept, self._known, self._x = found.state, fixed, end.x
        self._value, self._gradient = np.asarray(end.value), end.gradient
        self._counts = self._counts + np.array([1, f.evaluations, f.products], np.int64)
        self.ended = found.ended if fixed else Ended.NOT

    def work(self) -> dict[str, int]:
        """The counts by name; products only where there are some."""
        found = dict(zip(COUNTS, map(int, self._counts), strict=True))
        return found if found["products"] else {name: found[name] for name in COUNTS[:2]}

    def state(self) -> dict[str, Array]:
        """All of it; what the method keeps is called `method/NAME`."""
        own = {
            "learning": self._learning,
            "value": self._value,
            "gradient": self._gradient,
            "known": np.array(self._known, np.int64),
            "counts": self._counts,
            "ended": np.array(self.ended, np.int64),
        }
        return own | {f"{METHOD}{name}": array for name, array in self.kept.items()}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a checkpoint; a smaller tolerance than then may have more to do."""
        self.kept = {n.removeprefix(METHOD): a for n, a in arrays.items() if n.startswith(METHOD)}
        self._learning, self._counts = arrays["learning"], arrays["counts"]
        self._value, self._gradient, self._x = arrays["value"], arrays["gradient"], None
        self._known, self.ended = bool(arrays["known"]), Ended(int(arrays["ended"]))
        here = Point(self._gradient, float(self._value), self._gradient)
        if self.ended is Ended.CONVERGED and not self._learner.optimizer.converged(here):
            self.ended = Ended.NOT

    def on_epoch_begin(self, loop: Loop) -> None:
        """A run that is resumed when all is done ends at once."""
        self._finish(loop)

    def on_batch_end(self, loop: Loop, values: Values) -> None:
        """End where nothing is left to be done."""
        self._finish(loop)

    def _finish(self, loop: Loop) -> None:
        if self.ended is not Ended.NOT:
            loop.finish(self._learner.optimizer.why(self.ended))
