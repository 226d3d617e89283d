"""The callback that keeps a run in its folder: its events, its last and its best checkpoint."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace

from netdsl.train.callback import Callback, FitResult
from netdsl.train.checkpoint import Checkpoint, EpochResult, Progress
from netdsl.train.evaluator import Evaluator
from netdsl.train.loop import Loop
from netdsl.train.measures import Values
from netdsl.train.run_folder import BEST, LAST, RunFolder, snapshot
from netdsl.train.settings import TrainSettings


class Keep(Callback):
    """Writes `metrics.jsonl` and the checkpoints that `make` makes, within an epoch every so many seconds.

    Where the training stops early it remembers the best weights if there is no folder.
    """

    def __init__(self, output: RunFolder, make: Callable[[], Checkpoint], settings: TrainSettings) -> None:
        self._output, self._make, self._settings = output, make, settings
        self._saved = time.monotonic()
        self._best: Checkpoint | None = None

    def on_save(self, loop: Loop, result: EpochResult | None) -> None:
        """Save the end of an epoch, and what a stop or a crash would lose."""
        if result is not None:
            self._output.log(
                "epoch",
                epoch=result.epoch,
                train=result.train,
                validation=result.validation,
                lr=result.lr,
                **self._stage(result.epoch),
                seconds=round(loop.seconds, 3),
                **loop.learner.work(),
            )
            self._save_snapshot(result.epoch)
            if loop.evaluator is not None and _is_best(
                result, self._criterion(loop.evaluator), loop.progress
            ):
                self._save_best()
        seconds = self._settings.checkpoint_seconds
        if result is not None or loop.ending or time.monotonic() - self._saved > seconds:
            self._output.save(LAST, self._make)
            self._saved = time.monotonic()

    def best(self) -> Checkpoint | None:
        """The checkpoint of the best epoch; None where no epoch had a value, or nobody asked to remember it."""
        return self._best or self._output.load(BEST)

    def _save_best(self) -> None:
        self._output.save(BEST, self._make)
        if self._settings.stop is not None and not self._output.keeps:
            best = self._make()
            self._best = replace(best, progress=copy.deepcopy(best.progress))

    def _save_snapshot(self, done: int) -> None:
        stretch = self._settings.stretch(done - 1)
        if self._settings.snapshots and done == stretch.first + stretch.epochs:
            self._output.save(snapshot(stretch.number), self._make)

    def _criterion(self, evaluator: Evaluator) -> tuple[str, int]:
        """What tells the best epoch: the value that may stop the training, if one does."""
        metric = self._settings.stop.metric if self._settings.stop is not None else None
        return evaluator.criterion if metric is None else (metric, evaluator.signs[metric])

    def _stage(self, epoch: int) -> dict[str, int]:
        stretch = self._settings.stretch(epoch - 1)
        return {"stage": stretch.number} if stretch.stage is not None else {}

    def on_train_end(self, loop: Loop, result: FitResult) -> None:
        """Write the last line."""
        self._output.log(
            "interrupted" if result.interrupted else "end",
            test=result.test,
            train=result.train,
            validation=result.validation,
            epochs=result.epochs,
            steps=result.steps,
            **({} if result.restored is None else {"restored": result.restored}),
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
