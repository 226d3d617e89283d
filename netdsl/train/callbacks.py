"""Callbacks for every training: to follow a schedule, to stop early, to slow down, to freeze.

What they do follows from the epochs that are done, so that checkpoints keep no arrays of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.source import Diagnostic, NetError, suggest
from netdsl.train.callback import Callback
from netdsl.train.freeze import weights_named
from netdsl.train.loop import Loop
from netdsl.train.make import FLOAT32_MIN, check_number
from netdsl.train.schedules import waits


class FollowSettings(Callback):
    """Makes every step as the settings say: its learning rate and momentum, and the weights that its stage trains.

    A stage begins with empty slots, and steps are counted for the optimiser from there.
    """

    def on_train_begin(self, loop: Loop) -> None:
        """Find the weights that each stage leaves alone."""
        stretches = loop.learner.settings.stretches
        graph = loop.learner.objective
        self._frozen = {s.first: s.stage.frozen(graph) for s in stretches if s.stage is not None}
        self._count(loop)

    def on_epoch_begin(self, loop: Loop) -> None:
        """Begin a stage."""
        if loop.progress.epoch and loop.progress.epoch in self._frozen:
            loop.learner.forget()
            self._count(loop)

    def on_batch_begin(self, loop: Loop) -> None:
        """Set those of this step."""
        stretch = loop.learner.settings.stretch(loop.progress.epoch)
        rate = loop.learner.optimizer.lr if stretch.lr is None else stretch.lr
        loop.lr, loop.momentum = stretch.schedule.at(rate, stretch.clock(loop.clock))
        loop.frozen |= self._frozen.get(stretch.first, frozenset())

    def _count(self, loop: Loop) -> None:
        stretch = loop.learner.settings.stretch(loop.progress.epoch)
        loop.learner.counted_from = stretch.first * loop.clock.per_epoch if stretch.stage else 0


@dataclass(frozen=True)
class Monitor(Callback):
    """Base of those that watch a value of the validation set; the settings are Keras'.

    `monitor` is the name of the value, by default the one that tells the best checkpoint.  An epoch is better where
    the value beats the best one so far by more than `min_delta`.

    Raises NetError at the start where there is no validation set, or no value of the name; ValueError for a patience
    below 1 or a negative `min_delta`.
    """

    monitor: str | None = None
    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        _check_epochs("patience", self.patience)
        check_number("min_delta", self.min_delta, 0)

    def on_train_begin(self, loop: Loop) -> None:
        """Check that there is what is to be watched."""
        self.values(loop)

    def values(self, loop: Loop) -> list[float]:
        """The value of every epoch, with its sign changed where less is better."""
        if loop.evaluator is None:
            message = f"{type(self).__name__} watches the validation set, and there is none"
            raise NetError(Diagnostic("data", message, fix="set data.validation, for example to 0.1"))
        signs = loop.evaluator.signs
        name = self.monitor or loop.evaluator.criterion[0]
        if name not in signs:
            near = suggest(name, signs)
            fix = f"did you mean {near}?" if near else f"there are {', '.join(signs)}"
            message = f"{type(self).__name__} watches {name}, which is no value of the validation set"
            raise NetError(Diagnostic("setting", message, fix=fix))
        return [signs[name] * (result.validation or {})[name] for result in loop.progress.history]

    def waits(self, values: Sequence[float]) -> list[int]:
        """After each epoch, how many have passed since the last better one, or since `patience` ran out."""
        return waits(values, self.patience, self.min_delta)


@dataclass(frozen=True)
class EarlyStopping(Monitor):
    """Ends the training when a value of the validation set got no better for `patience` epochs; Keras EarlyStopping.

    The run is over then, as after its last epoch; resumed, it ends at once.  The weights of the best epoch are in
    `best.safetensors`.
    """

    def on_epoch_begin(self, loop: Loop) -> None:
        """Look at the epochs that are done."""
        if self.patience in self.waits(self.values(loop)):
            loop.finish()


@dataclass(frozen=True)
class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` after every `patience` epochs that got no better, down to `min_lr`.

    As Keras' ReduceLROnPlateau; on top of the schedule that the file names.

    Raises ValueError for a factor that is not between 0 and 1.
    """

    min_delta: float = 1e-4
    factor: float = 0.1
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("factor", self.factor, FLOAT32_MIN, 0.999999)
        check_number("min_lr", self.min_lr, 0)

    def on_batch_begin(self, loop: Loop) -> None:
        """Lower the rate of this step."""
        for _ in range(self.waits(self.values(loop)).count(self.patience)):
            loop.lr = min(loop.lr, max(loop.lr * self.factor, self.min_lr))


def _check_epochs(name: str, value: object) -> None:
    """Raise ValueError for what is no number of epochs."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is a whole number of epochs from 1, not {value!r}")


class Freeze(Callback):
    """Keeps weights as they are, bit for bit, in the first `epochs` epochs or throughout.

    `names` are layers, weights or patterns, as in `l2(weights, "stage*.conv1")`.  It is `@freeze` for a time: the
    weights get no gradients and no decay, and a batch norm is what it is in inference.  After `epochs` epochs the
    optimiser begins anew, as where a stage begins: steps in which weights were frozen undo no bias of Adam's.

    Raises NetError at the start for a name that fits no weight, ValueError where there is none, or no epoch.
    """

    def __init__(self, *names: str, epochs: int | None = None) -> None:
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f'Freeze takes names of layers or weights, Freeze("conv1"), not {list(names)}')
        if epochs is not None:
            _check_epochs("epochs", epochs)
        self._names, self._epochs = names, epochs

    def on_train_begin(self, loop: Loop) -> None:
        """Find the weights; a run that goes on after they were frozen counts from there."""
        self._weights = weights_named(loop.learner.objective, self._names)
        if self._epochs is not None and loop.progress.epoch >= self._epochs:
            self._count(loop, self._epochs)

    def on_epoch_begin(self, loop: Loop) -> None:
        """Begin with them."""
        if self._epochs is not None and loop.progress.epoch == self._epochs:
            loop.learner.forget()
            self._count(loop, self._epochs)

    @staticmethod
    def _count(loop: Loop, epochs: int) -> None:
        loop.learner.counted_from = max(loop.learner.counted_from, epochs * loop.clock.per_epoch)

    def on_batch_begin(self, loop: Loop) -> None:
        """Freeze them for this step."""
        if self._epochs is None or loop.progress.epoch < self._epochs:
            loop.frozen |= self._weights
