"""The learning-rate range test: the loss while the rate rises from step to step.  Smith 2015; fastai's lr_find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from netdsl.data import Loader
from netdsl.source import Diagnostic, NetError
from netdsl.train.trainer import Trainer
from netdsl.train.turn import Turn

#: the weight of what was in the mean of losses, and how many times its least value ends the test; fastai's
SMOOTH, EXPLODES = 0.98, 4.0
#: below so many steps, or so small a fall of the mean, a curve tells nothing
FEWEST, LEAST_FALL = 30, 0.02


@dataclass(frozen=True)
class RangeTest:
    """The rate, the loss and the mean of losses, of every step; `exploded` says what ended the test early."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    exploded: bool

    @property
    def doubt(self) -> str | None:
        """Why the curve does not tell a rate: too few steps, or no fall to speak of."""
        count = len(self.rates)
        kept = self.smoothed[count // 10 : count - 5 if self.exploded else count]
        if len(kept) < FEWEST:
            return f"it has {len(kept)} steps that count, of at least {FEWEST}"
        if all(
            peak - y < LEAST_FALL * abs(peak) for peak, y in zip(accumulate(kept, max), kept, strict=True)
        ):
            return f"the mean of the losses falls by less than {100 * LEAST_FALL:g} %"
        return None

    @property
    def suggestion(self) -> float | None:
        """The rate at which the mean falls fastest against the logarithm of the rate; None where it does not tell.

        The first tenth, in which the mean settles, and the last five steps, in which it explodes, are left out, as
        fastai does.
        """
        count = len(self.rates)
        first, last = count // 10, count - 5 if self.exploded else count
        slopes = {
            k: (self.smoothed[k + 1] - self.smoothed[k]) / math.log(self.rates[k + 1] / self.rates[k])
            for k in range(first, last - 1)
        }
        best = min(slopes, key=slopes.__getitem__, default=None)
        return None if self.doubt or best is None or slopes[best] >= 0 else self.rates[best]


def lr_range(trainer: Trainer, low: float = 1e-7, high: float = 10.0, steps: int = 100) -> RangeTest:
    """Train for so many steps at rates from `low` to `high`, each the same factor above the one before.

    It ends early where the mean of losses is 4 times its least value, or a step is not finite.  The schedule is left
    out, and every batch makes an update.  Nothing is written; the weights of the trainer are used up.

    Raises ValueError for rates or steps that make no sense, NetError for settings and data that do not fit, for a
    full-batch method, and where already the first step is not finite.
    """
    if not 0 < low < high < math.inf or steps < 10:
        raise ValueError("the rates of a range test go up from above 0, in 10 steps or more")
    if trainer.settings.full_batch is not None:
        message = "a range test is for optimisers that make a step from one gradient"
        raise NetError(Diagnostic("setting", message, trainer.network.train["optimizer"].span))
    batches = trainer.ready()
    rates = [low * (high / low) ** (k / (steps - 1)) for k in range(steps)]
    losses: list[float] = []
    means: list[float] = []
    with Loader(batches, -(-steps // len(batches))) as loader:
        for k, (lr, batch) in enumerate(zip(rates, loader, strict=False)):
            try:
                losses.append(float(trainer.learner.step(batch, Turn(k, k, lr))["loss"]))
            except NetError as error:
                if k == 0 or error.diagnostics[0].code != "nan":
                    raise
                break
            means.append(_mean(losses))
            if means[-1] > EXPLODES * min(means):
                break
    return RangeTest(tuple(rates[: len(losses)]), tuple(losses), tuple(means), len(losses) < steps)


def _mean(losses: Sequence[float]) -> float:
    """The exponential mean of losses, without its bias to zero."""
    total = 0.0
    for loss in losses:
        total = SMOOTH * total + (1 - SMOOTH) * loss
    return total / (1 - SMOOTH ** len(losses))
