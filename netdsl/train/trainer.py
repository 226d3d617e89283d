"""The training loop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl import passes
from netdsl.data import Batch, Batches, DataPlan, Loader, Normalization
from netdsl.elaborate import Network
from netdsl.ops.initializers import initialize
from netdsl.runtime import Program
from netdsl.source import Diagnostic, NetError
from netdsl.train.checkpoint import Checkpoint, Progress, check_arrays, load_checkpoint, save_checkpoint
from netdsl.train.diagnose import not_finite
from netdsl.train.evaluator import Evaluator, input_names
from netdsl.train.log import EventLog
from netdsl.train.schedules import Clock
from netdsl.train.settings import TrainSettings, data_plan, train_settings
from netdsl.train.step import training_graph

Array = NDArray[Any]
Values = dict[str, float]


class Listener:
    """What a trainer tells of its progress; this one listens to nothing."""

    def start(self, epochs: int, batches: int, progress: Progress) -> None:
        """Training begins or goes on."""

    def step(self, progress: Progress, values: Values) -> None:
        """A step is done; `values` are means over the epoch so far."""

    def epoch(self, epoch: int, train: Values, validation: Values | None, seconds: float) -> None:
        """An epoch (from 1) is done."""

    def end(self, result: FitResult) -> None:
        """Training is over."""


@dataclass(frozen=True)
class FitResult:
    """The outcome: the last epoch's means, those on the test set, and whether Ctrl-C ended it early."""

    epochs: int
    steps: int
    train: Values
    validation: Values | None
    test: Values | None
    seconds: float
    interrupted: bool = False


@dataclass
class _Epoch:
    train: Values = field(default_factory=dict)
    validation: Values | None = None


class Trainer:
    """Trains a network, elaborated with the training batch size, on the data its file names.

    The same network, settings and seed give the same bits, whatever the number of threads, also when a run is
    stopped and resumed.  `out` is the folder of the log and the checkpoints `last.safetensors` and
    `best.safetensors` (by the first metric on the validation data, else its loss).

    Raises NetError for settings, data or checkpoints that do not fit, and when the loss is not finite.
    """

    def __init__(
        self,
        network: Network,
        out: Path | None = None,
        data: DataPlan | None = None,
        threads: int | None = None,
    ) -> None:
        self.network = network
        self.settings: TrainSettings = train_settings(network)
        self.out = out
        self._threads = threads
        assert network.objective is not None
        self.objective = network.objective
        self.inputs = input_names(network)
        self._data = data
        graph = training_graph(self.objective, self.settings.optimizer, self.settings.clip_norm)
        self.program = Program(passes.training().run(graph), threads)
        self._reset()

    def _reset(self) -> None:
        """Start from the initialisers."""
        for leaf in (*self.program.graph.leaves("param"), *self.program.graph.leaves("state")):
            self.program.set(leaf.id, initialize(leaf, self.settings.seed))

    def fit(self, resume: bool = False, listener: Listener | None = None) -> FitResult:
        """Train to the last epoch; with `resume` from the last checkpoint in `out`."""
        return _Fit(self, self._resumed() if resume else Progress(), listener or Listener()).run(resume)

    @property
    def data(self) -> DataPlan:
        """The data, read when first needed."""
        if self._data is None:
            self._data = data_plan(self.network, self.settings.seed)
        return self._data

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one input of the network."""
        return self.network.graph[self.inputs.image].types[0].shape[1:]

    def feeds(self, batch: Batch, hyper: Mapping[str, float], step: int) -> dict[str, Array]:
        """What the program is fed for a batch."""
        feeds: dict[str, Array] = {self.inputs.image: batch.images, self.inputs.target: batch.labels}
        feeds |= {name: np.float32(value) for name, value in hyper.items()}  # type: ignore[misc]
        feeds["key"] = np.int64((self.settings.seed & 0x7FFFFFFF) << 32 | (step & 0xFFFFFFFF))  # type: ignore[assignment]
        return {name: np.asarray(value) for name, value in feeds.items() if name in self.program.inputs}

    def save(self, progress: Progress, name: str) -> None:
        """Write a checkpoint into `out`."""
        if self.out is None:
            return
        numbers = self.data.normalization.to_json()
        checkpoint = Checkpoint(
            self.program.state_dict(),
            str(self.network.graph),
            progress,
            self.settings.seed,
            numbers,
            self.network.name,
        )
        save_checkpoint(self.out / f"{name}.safetensors", checkpoint)

    def _resumed(self) -> Progress:
        if self.out is None:
            raise NetError(
                Diagnostic("checkpoint", "there is no folder to resume from", fix="give --out DIR")
            )
        checkpoint = load_checkpoint(self.out / "last.safetensors")
        leaves = [*self.program.graph.leaves("param"), *self.program.graph.leaves("state")]
        check_arrays(checkpoint.arrays, {n.id: n.types[0].shape for n in leaves}, "the checkpoint")
        if checkpoint.seed != self.settings.seed:
            message = f"the checkpoint was made with seed {checkpoint.seed}, not {self.settings.seed}"
            raise NetError(Diagnostic("checkpoint", message, fix=f"--set train.seed={checkpoint.seed}"))
        self.program.load_state_dict(checkpoint.arrays)
        normalization = Normalization.from_json(checkpoint.normalization)
        self._data = data_plan(self.network, self.settings.seed, normalization)
        return replace(checkpoint.progress)


class _Fit:
    """One run of the loop."""

    def __init__(self, trainer: Trainer, progress: Progress, listener: Listener) -> None:
        self.trainer, self.progress, self.listener = trainer, progress, listener
        self.settings = trainer.settings
        self.batches: Batches = trainer.data.training_batches(self.settings.batch, trainer.sample_shape)
        if len(self.batches) == 0:
            message = f"the training set is smaller than one batch of {self.settings.batch}"
            raise NetError(Diagnostic("data", message))
        self.evaluator = Evaluator(trainer.network, trainer.data, trainer.program, trainer._threads)
        self.stopped = False
        self.last = _Epoch()

    def run(self, resume: bool) -> FitResult:
        """From the current progress to the end, or to Ctrl-C."""
        start = time.monotonic()
        t, p = self.trainer, self.progress
        if t.out is not None:
            t.out.mkdir(parents=True, exist_ok=True)
        self.log = EventLog(t.out, p.epoch if resume else None)
        if not resume:
            self.log.write(
                "start", network=t.network.name, epochs=self.settings.epochs, seed=self.settings.seed
            )
            t.save(p, "last")
        self.listener.start(self.settings.epochs, len(self.batches), p)
        with self._interruptible():
            self._epochs()
        return self._finish(start)

    def _finish(self, start: float) -> FitResult:
        t, p = self.trainer, self.progress
        test = self.evaluator.run("test") if t.data.has_test and not self.stopped else None
        seconds = time.monotonic() - start
        last = self.last
        result = FitResult(p.epoch, p.step, last.train, last.validation, test, seconds, self.stopped)
        name = "interrupted" if self.stopped else "end"
        self.log.write(
            name, test=test, train=last.train, epochs=p.epoch, steps=p.step, seconds=round(seconds, 3)
        )
        self.listener.end(result)
        return result

    def _epochs(self) -> None:
        p, saved = self.progress, time.monotonic()
        began = time.monotonic()
        with Loader(self.batches, self.settings.epochs, (p.epoch, p.batch)) as loader:
            for batch in loader:
                self._step(batch)
                if batch.last:
                    self._end_epoch(time.monotonic() - began)
                    began = time.monotonic()
                if batch.last or self.stopped or time.monotonic() - saved > self.settings.checkpoint_seconds:
                    self.trainer.save(p, "last")
                    saved = time.monotonic()
                if self.stopped:
                    return

    def _step(self, batch: Batch) -> None:
        t, p = self.trainer, self.progress
        clock = Clock(p.step, self.settings.epochs * len(self.batches), len(self.batches))
        lr, momentum = self.settings.schedule.at(self.settings.optimizer.lr, clock)
        feeds = t.feeds(batch, self.settings.optimizer.scalars(p.step, lr, momentum), p.step)
        values = {name: float(v) for name, v in t.program.run(feeds).items()}
        if not math.isfinite(values["loss"]):
            raise NetError(not_finite(t.objective, {**t.program.state_dict(), **feeds}, p.step))
        for name, value in values.items():
            p.sums[name] = p.sums.get(name, 0.0) + value * batch.size
        p.seen += batch.size
        p.step, p.batch = p.step + 1, p.batch + 1
        self.listener.step(p, self._means())

    def _means(self) -> Values:
        return {
            name.removeprefix("metric/"): s / self.progress.seen for name, s in self.progress.sums.items()
        }

    def _end_epoch(self, seconds: float) -> None:
        t, p = self.trainer, self.progress
        validation = self.evaluator.run("validation") if t.data.has_validation else None
        self.last = _Epoch(self._means(), validation)
        p.epoch, p.batch, p.seen, p.sums = p.epoch + 1, 0, 0, {}
        self.log.write(
            "epoch", epoch=p.epoch, train=self.last.train, validation=validation, seconds=round(seconds, 3)
        )
        self.listener.epoch(p.epoch, self.last.train, validation, seconds)
        if validation is not None and self._is_best(validation):
            t.save(p, "best")

    def _is_best(self, validation: Values) -> bool:
        metrics = [v for name, v in validation.items() if name != "loss"]
        value = metrics[0] if metrics else -validation["loss"]
        if self.progress.best is not None and value <= self.progress.best:
            return False
        self.progress.best = value
        return True

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let the first Ctrl-C end the loop after the step; a second one stops at once."""

        def handler(number: int, frame: FrameType | None) -> None:
            if self.stopped:
                raise KeyboardInterrupt
            self.stopped = True

        try:
            old: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, handler)
        except ValueError:  # not the main thread, which alone may handle signals
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)
