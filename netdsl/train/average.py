"""Averages of weights: what is evaluated and saved in place of the weights that learn."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.elaborate import shown
from netdsl.source import brief
from netdsl.train.make import bounded, check_numbers
from netdsl.train.schedules import Clock


@dataclass(frozen=True)
class Average:
    """Base: after every update the average becomes `share * w + (1 - share) * average`.

    It is computed in the step itself, beside the optimiser's slots.
    """

    def share(self, clock: Clock) -> float:
        """The share of the new weights, after the update that the clock counts next: 1 takes them, 0 leaves them."""
        raise NotImplementedError

    def renews(self, clock: Clock) -> bool:
        """Whether batch norms need new statistics after the update that the clock counts next."""
        return False


@dataclass(frozen=True)
class Ema(Average):
    """An exponential moving average: `average = decay * average + (1 - decay) * w` after every update.

    It begins with the weights after the first one, as PyTorch's AveragedModel does.  `warmup` averages over fewer
    updates at first, `decay` being at most `1 - (t + 1)^(-2/3)` in update t from 0, as timm's ModelEmaV3 does.
    Running statistics are averaged alike.  Polyak and Juditsky 1992.
    """

    decay: float = bounded(0.999, 0.0, 0.9999999)
    warmup: bool = False

    def __post_init__(self) -> None:
        check_numbers(self)
        if not isinstance(self.warmup, bool):
            raise ValueError(f"warmup must be true or false, not {brief(shown(self.warmup))}")

    def share(self, clock: Clock) -> float:
        """What the decay leaves."""
        if clock.step == 0:
            return 1.0
        bound = 1 - (clock.step + 1) ** (-2 / 3) if self.warmup else 1.0
        return 1.0 - min(self.decay, bound)


@dataclass(frozen=True)
class Swa(Average):
    """The mean of the weights at the ends of the last epochs, those after the share `start` of the training.

    `every` averages each so many epochs.  Before it starts the average is the weights themselves.  The statistics of
    batch norms are computed anew for the averaged weights, by one more pass over the training batches at the end of
    those epochs, as torch.optim.swa_utils.update_bn does.  Izmailov et al. 2018; PyTorch AveragedModel.
    """

    start: float = bounded(0.75, 0.0, 1.0)
    every: int = 1

    def __post_init__(self) -> None:
        check_numbers(self)
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"every must be a whole number of epochs from 1, not {brief(shown(self.every))}")

    def _first(self, clock: Clock) -> int:
        """The first epoch that counts, from 0; the last one always does."""
        epochs = clock.steps // clock.per_epoch
        return min(int(self.start * epochs + 1e-9), epochs - 1)

    def renews(self, clock: Clock) -> bool:
        """At the end of the epochs that count."""
        since = clock.epoch - self._first(clock)
        return since >= 0 and since % self.every == 0 and (clock.step + 1) % clock.per_epoch == 0

    def share(self, clock: Clock) -> float:
        """One part of so many at the end of an epoch that counts; all of it before the first of them."""
        since = clock.epoch - self._first(clock)
        if self.renews(clock):
            return 1.0 / (since // self.every + 1)
        return 1.0 if since <= 0 else 0.0
