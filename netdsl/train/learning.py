"""What the loop asks of whatever learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from netdsl.arrays import Array
from netdsl.backend.memory import Send
from netdsl.data import Batch, Batches
from netdsl.ir import Graph
from netdsl.runtime import Program
from netdsl.train.average import Average
from netdsl.train.inputs import Inputs
from netdsl.train.measures import Measures
from netdsl.train.turn import Turn

if TYPE_CHECKING:
    from netdsl.train.callback import Callback
    from netdsl.train.settings import TrainSettings


class HasRate(Protocol):
    """An optimiser, of which the loop knows nothing but its learning rate."""

    @property
    def lr(self) -> float:
        """The learning rate."""


class Learning(Protocol):
    """A learner: `Learner` makes a step from one gradient, `FullBatchLearner` looks at a batch several times.

    `counted_from` is the first step that counts for the optimiser: that with which a stage begins.
    """

    inputs: Inputs
    objective: Graph
    measures: Measures
    settings: TrainSettings
    counted_from: int

    @property
    def program(self) -> Program:
        """The program that holds the weights and statistics."""

    @property
    def optimizer(self) -> HasRate:
        """The optimiser of the settings."""

    @property
    def callbacks(self) -> Sequence[Callback]:
        """Those of the learner itself, which come before the user's."""

    @property
    def accumulate(self) -> int:
        """How many batches make one update."""

    @property
    def average(self) -> Average | None:
        """The average that is evaluated and saved in place of the weights."""

    def show(self, averages: bool) -> None:
        """Let the averages take the places of the weights in the program, or the weights their own ones again."""

    def renew(self, batches: Batches, epoch: int) -> None:
        """Give the averages the statistics that they have over the batches of `epoch`, from 0."""

    @property
    def send(self) -> Send | None:
        """What copies batches to the device ahead; None for what takes them apart first."""

    def step(self, batch: Batch, turn: Turn) -> dict[str, Array]:
        """Learn from a batch; returns what loss and metrics add up."""

    def work(self) -> dict[str, int]:
        """What has been computed so far, by name, where the number of steps does not say it."""

    def ready(self, batches: Batches) -> None:
        """Raise NetError where these batches cannot be learnt from."""

    def arrays(self) -> dict[str, Array]:
        """Everything that a checkpoint keeps, by name."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of everything that a checkpoint keeps, by name."""

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take over what a checkpoint keeps."""

    def begin(self) -> None:
        """Forget, and let averages begin with the weights: a new run starts."""

    def forget(self) -> None:
        """Empty what the optimiser keeps."""
