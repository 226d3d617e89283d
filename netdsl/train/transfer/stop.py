"""`stop = patience(5, accuracy)`: when a training ends before its last epoch."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.elaborate import shown
from netdsl.source import brief
from netdsl.train.make import bounded, check_numbers


@dataclass(frozen=True)
class Patience:
    """Ends the training when `metric` of the validation set got no better for so many epochs.

    `metric` is the name of a value, `loss` or that of a metric; by default the one that tells the best checkpoint.
    An epoch is better where it beats the best one so far by more than `min_delta`.  The result are the weights of
    the best epoch.  Keras EarlyStopping.
    """

    names = ("metric",)
    epochs: int
    metric: str | None = None
    min_delta: float = bounded(0.0, 0.0)

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise ValueError(f"epochs must be a whole number from 1, not {brief(shown(self.epochs))}")
        if self.metric is not None and not isinstance(self.metric, str):
            raise ValueError(
                f"metric is the name of a value, such as accuracy, not {brief(shown(self.metric))}"
            )
        check_numbers(self)
