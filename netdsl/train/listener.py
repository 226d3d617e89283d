"""What a training run tells while it runs, and its result."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.train.checkpoint import EpochResult, Progress
from netdsl.train.measures import Values


class Listener:
    """What a trainer tells of its progress; this one listens to nothing.

    The trainer saves before it tells.  What `step` or `epoch` raise ends the run as Ctrl-C does, with a checkpoint,
    and is raised by `fit` then.
    """

    def start(self, epochs: int, batches: int, progress: Progress) -> None:
        """Training begins or goes on."""

    def step(self, progress: Progress, values: Values) -> None:
        """A step is done; `values` are means over the epoch so far."""

    def epoch(self, epoch: int, train: Values, validation: Values | None, seconds: float) -> None:
        """An epoch (from 1) is done."""

    def end(self, result: FitResult) -> None:
        """Training is over, by the last epoch or by Ctrl-C."""

    def close(self) -> None:
        """Nothing more comes, be it after `end` or after an error: give the terminal back."""


@dataclass(frozen=True)
class FitResult:
    """The outcome of a run.

    `history` has every epoch that is done, those before a resume included; `epochs` and `steps` count the same.
    `train` and `validation` are the means of the last epoch, `test` those over the test set; None without one,
    and `test` is None too when Ctrl-C ended the run early (`interrupted`).  `seconds` are those of this run.
    """

    history: tuple[EpochResult, ...]
    steps: int
    test: Values | None
    seconds: float
    interrupted: bool = False

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def train(self) -> Values:
        """Means over the training batches of the last epoch, each before its step."""
        return self.history[-1].train if self.history else {}

    @property
    def validation(self) -> Values | None:
        """Means over the validation set after the last epoch."""
        return self.history[-1].validation if self.history else None
