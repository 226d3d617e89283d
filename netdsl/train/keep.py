"""The callback that keeps a run in its folder: its events, its last and its best checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from netdsl.train.callback import Callback, FitResult
from netdsl.train.checkpoint import Checkpoint, EpochResult, Progress
from netdsl.train.loop import Loop
from netdsl.train.measures import Values
from netdsl.train.run_folder import BEST, LAST, RunFolder


class Keep(Callback):
    """Writes `metrics.jsonl` and the checkpoints that `make` makes, within an epoch every `seconds`."""

    def __init__(self, output: RunFolder, make: Callable[[], Checkpoint], seconds: float) -> None:
        self._output, self._make, self._seconds = output, make, seconds
        self._saved = time.monotonic()

    def on_save(self, loop: Loop, result: EpochResult | None) -> None:
        """Save the end of an epoch, and what a stop or a crash would lose."""
        if result is not None:
            self._output.log(
                "epoch",
                epoch=result.epoch,
                train=result.train,
                validation=result.validation,
                lr=result.lr,
                seconds=round(loop.seconds, 3),
                **loop.learner.work(),
            )
            if loop.evaluator is not None and _is_best(result, loop.evaluator.criterion, loop.progress):
                self._output.save(BEST, self._make)
        if result is not None or loop.ending or time.monotonic() - self._saved > self._seconds:
            self._output.save(LAST, self._make)
            self._saved = time.monotonic()

    def on_train_end(self, loop: Loop, result: FitResult) -> None:
        """Write the last line."""
        self._output.log(
            "interrupted" if result.interrupted else "end",
            test=result.test,
            train=result.train,
            validation=result.validation,
            epochs=result.epochs,
            steps=result.steps,
            seconds=round(result.seconds, 3),
            **loop.learner.work(),
            **({"reason": loop.reason} if loop.reason else {}),
        )


def _is_best(result: EpochResult, criterion: tuple[str, int], progress: Progress) -> bool:
    """Whether the epoch is better than all before it, which `progress` then remembers."""
    name, sign = criterion
    values: Values = result.validation or {}
    value = sign * values[name]
    if not math.isfinite(value) or (progress.best is not None and value <= progress.best):
        return False
    progress.best = value
    return True
