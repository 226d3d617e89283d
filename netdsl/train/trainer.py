"""The training loop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec

from netdsl.data import Batch, Batches, DataPlan, Loader, Usage
from netdsl.elaborate import Network, need_network
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.runtime.artifact import Model
from netdsl.source import Diagnostic, NetError, warn
from netdsl.train.batch_size import LAST_BATCH
from netdsl.train.checkpoint import (
    Checkpoint,
    EpochResult,
    Progress,
    Run,
    check_finite,
    load_checkpoint,
)
from netdsl.train.evaluator import Evaluator
from netdsl.train.learner import Learner
from netdsl.train.listener import FitResult, Listener
from netdsl.train.meaning import usage_of
from netdsl.train.measures import Measures, Values
from netdsl.train.output import BEST, LAST, Output, hold
from netdsl.train.resume import check_resume, describe_run
from netdsl.train.schedules import Clock
from netdsl.train.sections import training_sections
from netdsl.train.settings import TrainSettings, data_plan

P = ParamSpec("P")


class Trainer:
    """Trains a network on the data its file names, or on `data`.

    The same network, settings and seed give the same bits, whatever the number of threads, also when a run is
    stopped and resumed.  `out` is the folder of the log `metrics.jsonl` and of the checkpoints
    `last.safetensors` and `best.safetensors` (see docs/training.md for what is best).

    Raises NetError for settings, data or checkpoints that do not fit, and for a step that is not finite.
    """

    def __init__(
        self,
        network: Network,
        out: Path | str | None = None,
        data: DataPlan | None = None,
        threads: int | None = None,
    ) -> None:
        need_network(network, "netdsl.Trainer")
        sections = training_sections(network, data)
        self.network = network = sections.network
        self.settings: TrainSettings = sections.settings
        self.out = Path(out) if out is not None else None
        self.stopping = False
        self._threads = threads
        self._data = sections.data
        self._own_data = data is None
        self._learner = Learner(network, self.settings, threads)
        self._graph = str(with_batch(network.graph, self.settings.batch))
        assert network.objective is not None
        self.measures = Measures(network.objective)
        for warning in sections.warnings:
            warn(warning)

    @property
    def program(self) -> Program:
        """The program whose runs are training steps; it holds the weights."""
        return self._learner.program

    @property
    def data(self) -> DataPlan:
        """The data, read when first needed."""
        if self._data is None:
            self._data = data_plan(self.network, self.settings.seed)
        return self._data

    def fit(self, resume: bool = False, listener: Listener | None = None) -> FitResult:
        """Train to the last epoch; with `resume` from the last checkpoint in `out`, if it is not done already.

        Without `resume` training starts at epoch 1 from the weights that `program` holds, at first those of the
        initialisers.  The first Ctrl-C ends it after the running step, with a checkpoint; a second one at once.
        One training at a time may write into `out`; reading from it is free.
        """
        listener, self.stopping = listener or Listener(), False
        with closing(listener), hold(self.out, make=not resume):
            return self._resumed(listener) if resume else self._started(listener)

    def stop(self) -> None:
        """End the run after the step, with a checkpoint; for listeners, signal handlers and other threads."""
        self.stopping = True

    def _started(self, listener: Listener) -> FitResult:
        self._learner.forget()
        loop = _Loop(self, Progress(), self._identity(), listener)
        output, s = Output(self.out), self.settings
        output.log("start", network=self.network.name, epochs=s.epochs, batch=s.batch, seed=s.seed)
        output.save(LAST, loop.checkpoint)
        return loop.run(output)

    def _resumed(self, listener: Listener) -> FitResult:
        if self.out is None:
            message = "there is no folder to resume from"
            raise NetError(Diagnostic("checkpoint", message, fix="give --out DIR"))
        checkpoint = load_checkpoint(self.out / LAST)
        if self._own_data:
            usage = Usage.from_json(checkpoint.model.usage)
            self._data = data_plan(self.network, self.settings.seed, usage)
        identity, progress = self._identity(), checkpoint.progress
        changed = check_resume(checkpoint, identity, self._learner.shapes(), self.measures.sizes)
        self._learner.load(checkpoint.arrays)
        loop = _Loop(self, progress, identity, listener)
        output = Output(self.out, progress.epoch)
        output.log("resume", epoch=progress.epoch, step=progress.step, changed=changed)
        return loop.run(output)

    def _identity(self) -> Run:
        return describe_run(self.network, self.settings, len(self.data.train))


class _Loop:
    """One run of the loop, from some progress to the end or to Ctrl-C."""

    def __init__(self, trainer: Trainer, progress: Progress, identity: Run, listener: Listener) -> None:
        self.trainer, self.progress, self.identity, self.listener = trainer, progress, identity, listener
        self.settings, self.learner = trainer.settings, trainer._learner
        inputs, data = self.learner.inputs, trainer.data
        self.batches: Batches = data.training_batches(self.settings.batch, inputs.sample_shape)
        inputs.check(self.batches.outline, "train", data.place("train"))
        data.compare()
        self._check_last_batch()
        self.evaluator = Evaluator(
            trainer.network, data, self.settings.evaluation_batch, trainer.program, trainer._threads
        )
        self.measures = trainer.measures
        self.steps = self.settings.epochs * len(self.batches)
        self.failure: BaseException | None = None

    def run(self, output: Output) -> FitResult:
        """Train, then evaluate on the test data."""
        start = time.monotonic()
        self.output = output
        try:
            self.listener.start(self.settings.epochs, len(self.batches), self.progress)
            with self._interruptible():
                self._epochs()
            if self.failure is not None:
                raise self.failure
        except Exception as error:
            message = error.diagnostics[0].message if isinstance(error, NetError) else repr(error)
            output.log("error", step=self.progress.step, message=message)
            raise
        return self._finish(start)

    def _check_last_batch(self) -> None:
        """Refuse a last, smaller batch that a layer cannot be trained on, before anything is trained."""
        size = self.batches.last_size
        if size != self.settings.batch:
            self.learner.check_batch(size, LAST_BATCH)

    def _finish(self, start: float) -> FitResult:
        p = self.progress
        stopped = self.trainer.stopping
        test = self.evaluator.run("test") if self.trainer.data.has_test and not stopped else None
        seconds = time.monotonic() - start
        result = FitResult(tuple(p.history), p.step, test, seconds, stopped)
        self.output.log(
            "interrupted" if stopped else "end",
            test=test,
            train=result.train,
            validation=result.validation,
            epochs=p.epoch,
            steps=p.step,
            seconds=round(seconds, 3),
        )
        self.listener.end(result)
        return result

    def _epochs(self) -> None:
        p = self.progress
        saved = began = time.monotonic()
        with Loader(self.batches, self.settings.epochs, (p.epoch, p.batch)) as loader:
            for batch in loader:
                self._step(batch)
                self._tell(self.listener.step, p, self.measures.result(p.sums))
                seconds = time.monotonic() - began
                if batch.last:
                    self._end_epoch(seconds)
                    began = time.monotonic()
                if (
                    batch.last
                    or self.trainer.stopping
                    or time.monotonic() - saved > self.settings.checkpoint_seconds
                ):
                    self.output.save(LAST, self.checkpoint)
                    saved = time.monotonic()
                if batch.last:
                    done = p.history[-1]
                    self._tell(self.listener.epoch, done.epoch, done.train, done.validation, seconds)
                if self.trainer.stopping:
                    return

    def _tell(self, event: Callable[P, None], *values: P.args, **named: P.kwargs) -> None:
        """Tell the listener; what it raises ends the run as Ctrl-C does, with a checkpoint first."""
        try:
            event(*values, **named)
        except (Exception, SystemExit) as error:
            self.failure = self.failure or error
            self.trainer.stop()

    def _clock(self) -> Clock:
        return Clock(self.progress.step, self.steps, len(self.batches))

    def _step(self, batch: Batch) -> None:
        p = self.progress
        self.measures.update(p.sums, self.learner.step(batch, self._clock()), batch.size)
        p.step, p.batch = p.step + 1, p.batch + 1

    def _end_epoch(self, seconds: float) -> None:
        p = self.progress
        last = Clock(p.step - 1, self.steps, len(self.batches))
        train, lr = self.measures.result(p.sums), self.learner.learning_rate(last)
        validation = self.evaluator.run("validation") if self.trainer.data.has_validation else None
        p.epoch, p.batch, p.sums = p.epoch + 1, 0, {}
        p.history.append(EpochResult(p.epoch, lr, train, validation))
        self.output.log(
            "epoch", epoch=p.epoch, train=train, validation=validation, lr=lr, seconds=round(seconds, 3)
        )
        if validation is not None and self._is_best(validation):
            self.output.save(BEST, self.checkpoint)

    def _is_best(self, validation: Values) -> bool:
        name, sign = self.evaluator.criterion
        value = sign * validation[name]
        if not math.isfinite(value) or (self.progress.best is not None and value <= self.progress.best):
            return False
        self.progress.best = value
        return True

    def checkpoint(self) -> Checkpoint:
        """Everything that going on from here needs."""
        t = self.trainer
        model = Model(t.network.name, t._graph, usage_of(t.network, t.data).to_json())
        arrays = t.program.state_dict()
        check_finite(arrays)
        return Checkpoint(model, arrays, self.progress, self.identity)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let the first Ctrl-C end the loop after the step; a second one stops at once."""

        def handler(number: int, frame: FrameType | None) -> None:
            if self.trainer.stopping:
                raise KeyboardInterrupt
            self.trainer.stop()

        try:
            old: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, handler)
        except ValueError:  # not the main thread, which alone may handle signals
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)
