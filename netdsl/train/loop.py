"""The loop of training: a learner, batches, and callbacks at their turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from numbers import Real

from netdsl.arrays import Array
from netdsl.data import Batch, Batches, Loader
from netdsl.source import first_of
from netdsl.train.callback import Callback
from netdsl.train.checkpoint import EpochResult, Progress
from netdsl.train.evaluator import Evaluator
from netdsl.train.kept import give_back
from netdsl.train.learning import HasRate, Learning
from netdsl.train.make import FLOAT32_MAX, check_number
from netdsl.train.measures import Values
from netdsl.train.optimizers import Optimizer
from netdsl.train.schedules import Clock
from netdsl.train.transfer.start import Start
from netdsl.train.turn import Grouping, Turn


class Loop:
    """Lets a learner learn from batches, epoch by epoch, and calls the callbacks.

    `lr`, `momentum` (None: the optimiser's own) and `frozen`, names of weights that stay, are those of the next step
    or of the one just made; callbacks set them in `on_batch_begin`.  `progress` is where training is, `epochs` how
    many there are to be, `batches` what an epoch is made of, `seconds` the time of the running epoch so far,
    `evaluator` gives the values of the validation set, None without one; `start` says which weights came from a file.
    """

    def __init__(self, learner: Learning) -> None:
        self.learner = learner
        self.lr: float = learner.optimizer.lr
        self.momentum: float | None = None
        self.frozen: frozenset[str] = frozenset()
        self.progress = Progress()
        self.start: Start | None = None
        self.stopping = self.finished = False
        self.reason: str | None = None
        self.seconds = 0.0
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """End after the running step, with a checkpoint, to be resumed; for signal handlers and other threads too."""
        self.stopping = True

    def finish(self, reason: str | None = None) -> None:
        """End after the running step as after the last one: there is nothing left to learn, for a reason in words."""
        self.finished = True
        self.reason = reason or self.reason

    @property
    def ending(self) -> bool:
        """Whether no step follows."""
        return self.stopping or self.finished

    @property
    def clock(self) -> Clock:
        """The number of the next update, and how many there are to be."""
        updates, p = self._grouping.updates, self.progress
        step, evaluator = p.epoch * updates + p.batch // self._grouping.size, self.evaluator
        if evaluator is None:
            return Clock(step, self.epochs * updates, updates)
        done = [epoch.validation for epoch in p.history]
        return Clock(step, self.epochs * updates, updates, done, evaluator.signs, evaluator.criterion[0])

    @property
    def _grouping(self) -> Grouping:
        return Grouping(len(self.batches), self.learner.accumulate)

    @property
    def _turn(self) -> Turn:
        """What the next step has to know."""
        p, clock, average = self.progress, self.clock, self.learner.average
        first, last = self._grouping.place(p.batch)
        share, averaged = (
            self._grouping.share(p.batch, self.batches),
            average.share(clock) if average else 1.0,
        )
        return Turn(p.step, clock.step, self.lr, self.momentum, self.frozen, first, last, share, averaged)

    def begin(
        self,
        batches: Batches,
        epochs: int,
        callbacks: Sequence[Callback] = (),
        progress: Progress | None = None,
        evaluator: Evaluator | None = None,
        kept: Mapping[str, Array] | None = None,
    ) -> Loop:
        """Make ready to train from `progress` on; `kept` is what a checkpoint has of the callbacks.

        Raises what a callback raises of what it finds, and NetError where `kept` does not fit them.
        """
        self.batches, self.epochs, self.callbacks = batches, epochs, tuple(callbacks)
        self.evaluator = evaluator
        self.progress = progress or Progress()
        self._names = frozenset(self.learner.shapes())
        for callback in self.callbacks:
            callback.on_train_begin(self)
        if kept is not None:
            give_back(self.callbacks, kept)
        return self

    def run(self) -> Progress:
        """Train to the end of the last epoch; returns where it ended.

        Raises what a callback has raised, after a checkpoint, and NetError for a step that is not finite.
        """
        p = self.progress
        self._began = time.monotonic()
        with Loader(self.batches, self.epochs, (p.epoch, p.batch), send=self.learner.send) as loader:
            for batch in loader:
                self._save(self._step(batch))
                if self.ending:
                    break
        if self._failure is not None:
            raise self._failure
        return p

    def _step(self, batch: Batch) -> EpochResult | None:
        """Make a step, unless a callback ends the training before it; returns the epoch that it ends."""
        p, learner = self.progress, self.learner
        if p.batch == 0:
            self._tell(lambda c: c.on_epoch_begin(self))
        self.lr, self.momentum, self.frozen = learner.optimizer.lr, None, frozenset()
        self._tell(self._begin_batch)
        if self.ending:
            return None
        turn, clock = self._turn, self.clock
        sums = learner.step(batch, turn)
        learner.measures.update(p.sums, sums, batch.size)
        p.step, p.batch = p.step + 1, p.batch + 1
        values = learner.measures.result(p.sums)
        self._tell(lambda c: c.on_batch_end(self, values))
        self.seconds = time.monotonic() - self._began
        if not batch.last:
            return None
        average = learner.average
        if average is not None and average.renews(clock):
            learner.renew(self.batches, p.epoch)
        validation = self._validated()
        p.epoch, p.batch, p.sums = p.epoch + 1, 0, {}
        p.history.append(EpochResult(p.epoch, self.lr, values, validation))
        return p.history[-1]

    def _begin_batch(self, callback: Callback) -> None:
        """Let a callback act before a step.  Raises ValueError for a rate, momentum or weight that cannot be."""
        before = self.momentum
        callback.on_batch_begin(self)
        kind = type(callback).__name__
        self.lr = _number(f"{kind}: loop.lr", self.lr)
        if self.momentum is not None and self.momentum is not before:
            self.momentum = _number(f"{kind}: loop.momentum", self.momentum, 0.999999)
            _check_moves(kind, self.learner.optimizer, self.momentum)
        names = self.frozen if isinstance(self.frozen, Set) else {repr(self.frozen)}
        if unknown := sorted(names - self._names):
            message = f"{kind} puts {unknown[0]} into loop.frozen, a set of names of weights"
            raise ValueError(f"{message}; there are {first_of(sorted(self._names), 6)}")

    def _validated(self) -> Values | None:
        """Loss and metrics over the validation set, of the averaged weights where there are some."""
        if self.evaluator is None:
            return None
        self.learner.show(averages=True)
        try:
            return self.evaluator.run("validation")
        finally:
            self.learner.show(averages=False)

    def _save(self, result: EpochResult | None) -> None:
        """Let callbacks save, then tell them of the epoch that has ended."""
        for callback in self.callbacks:
            callback.on_save(self, result)
        if result is not None:
            self._tell(lambda c: c.on_epoch_end(self, result))
            self._began = time.monotonic()

    def _tell(self, hook: Callable[[Callback], None]) -> None:
        """Call a hook of every callback; what one raises ends the run as Ctrl-C does, with a checkpoint first."""
        for callback in self.callbacks:
            try:
                hook(callback)
            except (Exception, SystemExit) as error:
                self._failure = self._failure or error
                self.stop()


def _number(name: str, value: object, high: float = FLOAT32_MAX) -> float:
    """What a callback gave as a float, NumPy's too; raises ValueError for what is none, or not from 0 to `high`."""
    plain = float(value) if isinstance(value, Real) and not isinstance(value, bool) else value
    return check_number(name, plain, 0, high)


def _check_moves(kind: str, optimizer: HasRate, momentum: float) -> None:
    """Raise ValueError where a callback sets a momentum that the optimiser does not keep."""
    try:
        moves = isinstance(optimizer, Optimizer) and optimizer.with_momentum(momentum) is optimizer
    except ValueError:
        moves = False
    if not moves:
        name = type(optimizer).__name__.lower()
        raise ValueError(f"{kind} sets loop.momentum, and {name} with these settings keeps no momentum")
