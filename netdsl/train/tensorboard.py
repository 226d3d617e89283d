"""Scalars of a training for TensorBoard, written by its own library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netdsl.extras import need
from netdsl.train.callback import Callback, FitResult
from netdsl.train.checkpoint import EpochResult
from netdsl.train.loop import Loop

FOLDER = "tensorboard"
"""The folder of the event files in that of a run."""
_PREFIX = "events.out.tfevents."


class TensorBoard(Callback):
    """Writes an event file with the scalars of every epoch: loss and metrics, by set, and the learning rate.

    Tags are `loss/train`, `loss/validation`, `lr`; the steps are epochs, from 1.  A run that is resumed writes the
    epochs that are done again into a new file and removes the old one, so that its curves are whole.

    Raises NetError where the library is missing.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder) / FOLDER
        writers = need(
            "tensorboard.summary.writer.event_file_writer", "tensorboard", "--tensorboard", "output"
        )
        self._proto = need("tensorboard.compat.proto.event_pb2", "tensorboard", "--tensorboard", "output")
        self._summaries = need(
            "tensorboard.compat.proto.summary_pb2", "tensorboard", "--tensorboard", "output"
        )
        self._make, self._writer = writers.EventFileWriter, None

    def on_train_begin(self, loop: Loop) -> None:
        """Look at nothing yet: the folder changes when training does."""
        self._history = list(loop.progress.history)

    def on_batch_begin(self, loop: Loop) -> None:
        """Begin the file, with the epochs that were done before."""
        if self._writer is None:
            old = [*self._folder.glob(f"{_PREFIX}*")]
            self._writer = self._make(str(self._folder))
            for file in old:
                file.unlink(missing_ok=True)
            for result in self._history:
                self._add(result)

    def on_epoch_end(self, loop: Loop, result: EpochResult) -> None:
        """Write an epoch."""
        self._add(result)

    def on_train_end(self, loop: Loop, result: FitResult) -> None:
        """Write the values of the test set."""
        if result.test is not None and self._writer is not None:
            self._write(result.epochs, {f"{name}/test": value for name, value in result.test.items()})

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, result: EpochResult) -> None:
        parts: Mapping[str, Mapping[str, float]] = {
            "train": result.train,
            "validation": result.validation or {},
        }
        scalars = {f"{name}/{part}": value for part, found in parts.items() for name, value in found.items()}
        self._write(result.epoch, scalars | {"lr": result.lr})

    def _write(self, step: int, scalars: Mapping[str, float]) -> None:
        import time

        value = self._summaries.Summary.Value
        values = [value(tag=tag, simple_value=number) for tag, number in scalars.items()]
        event = self._proto.Event(
            wall_time=time.time(), step=step, summary=self._summaries.Summary(value=values)
        )
        writer: Any = self._writer
        writer.add_event(event)
        writer.flush()
