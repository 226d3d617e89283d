"""Training as a whole: the sections of a file made into a learner, batches and callbacks, and these into a loop."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from netdsl.backend.registry import Device
from netdsl.data import Batches, DataPlan, Usage
from netdsl.elaborate import Network, need_network
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.runtime.artifact import Model
from netdsl.runtime.container import Array
from netdsl.source import Diagnostic, NetError, Source, Span, warn
from netdsl.train.callback import Callback, FitResult, need_callbacks
from netdsl.train.callbacks import EarlyStopping, FollowSettings
from netdsl.train.checkpoint import Checkpoint, Progress, Run, check_finite, load_checkpoint
from netdsl.train.class_weights import with_class_weights
from netdsl.train.computer import computer
from netdsl.train.data_settings import data_plan
from netdsl.train.evaluator import Evaluator
from netdsl.train.folder import folds_in
from netdsl.train.full_batch.learner import FullBatchLearner
from netdsl.train.interrupt import interruptible
from netdsl.train.keep import Keep
from netdsl.train.kept import kept, taken_apart
from netdsl.train.learner import Learner
from netdsl.train.learning import Learning
from netdsl.train.loop import Loop
from netdsl.train.meaning import usage_of
from netdsl.train.restore import weights_of
from netdsl.train.resume import check_resume, describe_run
from netdsl.train.run_folder import BEST, LAST, RunFolder, hold, need_folder
from netdsl.train.sections import Data, need_fold, start_of, training_sections
from netdsl.train.settings import TrainSettings
from netdsl.train.transfer.start import Load
from netdsl.train.watch import Watch, need_kinds


class Trainer:
    """Trains a network on the data its file names, or on `data`: a data section, or the arrays of a training set.

    The same network, settings, callbacks and seed give the same bits, whatever the number of threads, also when a run
    is stopped and resumed.  `out` is the folder of the log `metrics.jsonl` and of the checkpoints
    `last.safetensors` and `best.safetensors` (see docs/training.md for what is best).  `callbacks` come after the
    schedule of the file, in their order.  `start` is the file of weights to start from, instead of the one that
    `train.start` names.  `watch` is what the log tells of each epoch besides: see `Watch`.

    Raises NetError for settings, data or checkpoints that do not fit, and for a step that is not finite.
    """

    def __init__(
        self,
        network: Network,
        out: Path | str | None = None,
        data: Data = None,
        device: Device = "cpu",
        threads: int | None = None,
        callbacks: Iterable[Callback] = (),
        start: Path | str | None = None,
        watch: Collection[str] = (),
    ) -> None:
        need_network(network, "netdsl.Trainer")
        need_folder(out, "netdsl.Trainer")
        sections = training_sections(network, data)
        need_fold(sections.data)
        self.network = network = with_class_weights(sections.network, sections.data)
        self.settings: TrainSettings = _starting_from(sections.settings, start)
        self.out = Path(out) if out is not None else None
        self.callbacks = need_callbacks(callbacks)
        self.watch = need_kinds(watch)
        #: where errors of the weights to start from are, if not at the setting of the file
        self.start_place = None if start is None else _whole(Source("start", str(start)))
        self._device = computer(network, self.settings, device, threads)
        self.settings = replace(self.settings, precision=self._device.precision)
        kind = Learner if self.settings.full_batch is None else FullBatchLearner
        self.learner: Learning = kind(network, self.settings, self._device)
        self._loop, self.saved = Loop(self.learner), False
        self._before: Run | None = None
        self._data = sections.data
        self._own_data = data is None
        self._graph = str(with_batch(network.graph, self.settings.batch))
        for warning in sections.warnings:
            warn(warning)

    @property
    def program(self) -> Program:
        """The program whose runs are training steps; it holds the weights."""
        return self.learner.program

    @property
    def _computing(self) -> dict[str, str]:
        """What computes, for the log."""
        return {"device": self._device.place, "precision": self._device.precision}

    @property
    def data(self) -> DataPlan:
        """The data, read when first needed."""
        if self._data is None:
            self._data = data_plan(self.network, self.settings.seed)
        return self._data

    def fit(self, resume: bool = False) -> FitResult:
        """Train to the last epoch; with `resume` from the last checkpoint in `out`, if it is not done already.

        Without `resume` training starts at epoch 1 from the weights that `program` holds, at first those of the
        initialisers, and from those of `train.start`.  The first Ctrl-C ends it after the running step, with a
        checkpoint; a second one at once.  One training at a time may write into `out`; reading from it is free.
        """
        self._loop, self.saved, self._before = Loop(self.learner), False, None
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.callback(callback.close)
            stack.enter_context(hold(self.out, make=not resume))
            return self._resumed() if resume else self._started()

    def stop(self) -> None:
        """End the run after the step, with a checkpoint; for callbacks, signal handlers and other threads."""
        self._loop.stop()

    def _started(self) -> FitResult:
        batches = self.ready()
        weights, s = self._loop.start, self.settings
        with interruptible(self._loop):
            output = self._begin(batches, Progress())
            output.begin()
            told = {"network": self.network.name, "epochs": s.epochs, "batch": s.batch, "seed": s.seed}
            output.log("start", **told, **self._computing)
            if weights is not None:
                output.log("weights", **weights.report)
            if self.data.about:
                output.log("data", about=self.data.about, skipped=self.data.skipped)
            output.save(LAST, self._checkpoint)
            self.saved = self.out is not None
        return self._run(output)

    def ready(self) -> Batches:
        """The batches of a training that is to begin, with its first weights in place."""
        batches = self._batches()
        self._start()
        self.learner.begin()
        return batches

    def _start(self) -> None:
        """Take over the weights that the settings name."""
        start = self._loop.start = start_of(self.network, self.settings, self.start_place)
        if start is not None:
            for name, array in start.read(self.learner.objective).items():
                self.program.set(name, array)

    def _resumed(self) -> FitResult:
        if self.out is None:
            message = "there is no folder to resume from"
            raise NetError(Diagnostic("checkpoint", message, fix="give --out DIR"))
        if folds_in(self.out) and not (self.out / LAST).exists():
            message = f"{self.out} holds the folds of a cross-validation, and the data has no folds"
            raise NetError(
                Diagnostic("checkpoint", message, fix="resume with the data.folds that it began with")
            )
        checkpoint = load_checkpoint(self.out / LAST)
        if self._own_data:
            usage = Usage.from_json(checkpoint.model.usage)
            self._data = data_plan(self.network, self.settings.seed, usage)
        progress, learner = checkpoint.progress, self.learner
        checkpoint, of_callbacks = taken_apart(checkpoint)
        model, sizes = Model(self.network.name, self._graph), learner.measures.sizes
        changed = check_resume(
            checkpoint, self._identity(), model, self.settings.epochs, learner.shapes(), sizes
        )
        learner.load(checkpoint.arrays)
        self.saved, self._before = True, checkpoint.run
        batches = self._batches()
        self._check_best(progress)
        with interruptible(self._loop):
            output = self._begin(batches, progress, of_callbacks)
            output.begin(progress.epoch)
            told = {"epoch": progress.epoch, "step": progress.step, "changed": changed}
            output.log("resume", **told, **self._computing)
        return self._run(output)

    def _check_best(self, progress: Progress) -> None:
        """Look at the best epoch so far while it can be told: it may be the result.  Errors: NetError."""
        assert self.out is not None
        best = self.out / BEST
        if progress.best is None:
            return
        if not best.exists():
            message = f"{best} is gone: the best of the epochs to come takes its place"
            warn(Diagnostic("checkpoint", message))
            progress.best = None
        elif self.settings.stop is not None:
            found = load_checkpoint(best)
            weights_of(self.learner.objective, found.arrays, BEST)

    def _identity(self) -> Run:
        return describe_run(self.network, self.settings, len(self.data.train), self._before)

    def _batches(self) -> Batches:
        """The training batches, when all that can be refused has been looked at."""
        data, inputs, size = self.data, self.learner.inputs, self.settings.batch
        whole = isinstance(self.learner, FullBatchLearner) and size == len(data.train)
        batches = data.training_batches(size, inputs.feeds, in_order=whole)
        inputs.check(batches.outline, "train", data.place("train"))
        data.compare(inputs.feeds)
        self.learner.ready(batches)
        return batches

    def _begin(
        self, batches: Batches, progress: Progress, kept: Mapping[str, Array] | None = None
    ) -> RunFolder:
        """Put the loop together; what refuses to train does so before the folder is touched."""
        s, output = self.settings, RunFolder(self.out)
        self._evaluator = Evaluator(self.network, self.data, s.evaluation_batch, self.program, self._device)
        self._keep = Keep(output, self._checkpoint, s)
        stop = s.stop and [EarlyStopping(s.stop.metric, s.stop.epochs, s.stop.min_delta)]
        keeps = [*self._watches(output), self._keep]
        callbacks = [FollowSettings(), *(stop or ()), *keeps, *self.learner.callbacks, *self.callbacks]
        validation = self._evaluator if self.data.has_validation else None
        self._run_is = self._identity()
        self._loop.begin(batches, s.epochs, callbacks, progress, validation, kept)
        return output

    def _watches(self, output: RunFolder) -> list[Callback]:
        if not self.watch:
            return []
        return [Watch(self.watch, self.network, self.data, self._device, output)]

    def _run(self, output: RunFolder) -> FitResult:
        """Train, then evaluate on the test data."""
        start, loop = time.monotonic(), self._loop
        try:
            with interruptible(loop):
                progress = loop.run()
        except Exception as error:
            message = error.diagnostics[0].message if isinstance(error, NetError) else repr(error)
            output.log("error", step=loop.progress.step, message=message)
            raise
        self.learner.show(averages=True)
        restored = self._take_best() if self.settings.stop is not None and not loop.stopping else None
        test = self._evaluator.run("test") if self.data.has_test and not loop.stopping else None
        seconds = time.monotonic() - start
        result = FitResult(tuple(progress.history), progress.step, test, seconds, loop.stopping, restored)
        for callback in loop.callbacks:
            callback.on_train_end(loop, result)
        return result

    def _take_best(self) -> int | None:
        """Put the weights of the best epoch in place; returns its number."""
        best = self._keep.best()
        if best is None:
            return None
        for name, array in weights_of(self.learner.objective, best.arrays, BEST).items():
            self.program.set(name, array)
        return best.progress.epoch

    def _checkpoint(self) -> Checkpoint:
        """Everything that going on from here needs."""
        model = Model(self.network.name, self._graph, usage_of(self.network, self.data).to_json())
        arrays = self.learner.arrays()
        check_finite(arrays)
        arrays |= kept(self._loop.callbacks)
        return Checkpoint(model, arrays, self._loop.progress, self._run_is)


def _whole(text: Source) -> Span:
    return Span(text, 0, len(text.text))


def _starting_from(settings: TrainSettings, file: Path | str | None) -> TrainSettings:
    """The settings with another file to start from; how its names are matched stays as the settings say."""
    if file is None:
        return settings
    name = str(Path(file).absolute())
    return replace(settings, start=replace(settings.start, file=name) if settings.start else Load(name))
