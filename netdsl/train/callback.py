"""What a training calls at its turns, and its result."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netdsl.arrays import Array
from netdsl.source import suggest
from netdsl.train.checkpoint import EpochResult
from netdsl.train.measures import Values

if TYPE_CHECKING:
    from netdsl.train.loop import Loop


class Callback:
    """Base: hooks that do nothing, under Keras' names; each is handed the `Loop` that calls it.

    The hooks `..._begin` act: before each step `loop.lr`, `loop.momentum` and `loop.frozen` are set anew, and the
    callbacks change them in the order of their list; `loop.finish()` and `loop.stop()` end the training.  The hooks
    `..._end` tell what has been done; of an epoch, it is on disk by then.  Keras has both in `on_epoch_end`: here a
    run that is killed at any moment is told again of what it had not begun, and nothing twice.

    So a resumed run ends with the same bits if what a callback does follows from `loop.progress` and the epochs in
    it, which checkpoints hold, and from the arrays that it keeps in them by `state`.  What a hook raises ends the run
    as Ctrl-C does, with a checkpoint, and is raised by `fit` then; what `on_train_begin` raises is raised before
    anything in the folder has changed, what `on_save` and `on_train_end` raise at once.
    """

    def __init_subclass__(cls) -> None:
        """Raise TypeError for hooks that nobody calls, and for arrays that nobody takes back."""
        super().__init_subclass__()
        if cls.state is not Callback.state and cls.load_state is Callback.load_state:
            raise TypeError(f"{cls.__name__} has state, and no load_state to go on from it")
        for name in vars(cls):
            if name.startswith("on_") and not hasattr(Callback, name):
                hooks = [hook for hook in vars(Callback) if hook.startswith("on_")]
                near = suggest(name, hooks)
                fix = f"did you mean {near}?" if near else f"there are {', '.join(hooks)}"
                raise TypeError(f"{cls.__name__}: training calls no {name}; {fix}")
            if name in vars(Callback) and not name.startswith("_"):
                _check_hook(cls, name)

    def on_train_begin(self, loop: Loop) -> None:
        """Training begins or goes on; nothing has been computed."""

    def state(self) -> Mapping[str, Array]:
        """The arrays that checkpoints keep of it, by name: float32, float64 or int64.

        What `on_train_begin` has made says which there are, and of which shapes.
        """
        return {}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Go on from the arrays of a checkpoint, after `on_train_begin`: they have the names, shapes and types of
        `state`, and are its own to change."""

    def on_epoch_begin(self, loop: Loop) -> None:
        """An epoch begins; not called where a resumed run goes on within one."""

    def on_batch_begin(self, loop: Loop) -> None:
        """A step is about to be made, with `loop.lr`, `loop.momentum` and `loop.frozen`."""

    def on_batch_end(self, loop: Loop, values: Values) -> None:
        """A step is done; `values` are those of the epoch so far."""

    def on_save(self, loop: Loop, result: EpochResult | None) -> None:
        """The moment to save: after a step, with the epoch that it has ended, and after a stop."""

    def on_epoch_end(self, loop: Loop, result: EpochResult) -> None:
        """An epoch is done and saved; it took `loop.seconds`, or what is after a resume took them."""

    def on_train_end(self, loop: Loop, result: FitResult) -> None:
        """Training is over: by the last epoch, by `finish`, or by `stop` and Ctrl-C."""

    def close(self) -> None:
        """Nothing more comes, be it after `on_train_end` or after an error: give the terminal back."""


def need_callbacks(values: object) -> list[Callback]:
    """The callbacks of a training as a list; raises TypeError where one is something else, such as a class."""
    if not isinstance(values, Iterable):
        what = type(values).__name__
        hint = f": callbacks=[{what}(...)]" if isinstance(values, Callback) else ""
        raise TypeError(f"callbacks is a list, not a {what}{hint}")
    found: list[Callback] = []
    for value in values:
        if not isinstance(value, Callback):
            what = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
            raise TypeError(f"a callback is an object of netdsl.train.Callback, not {what}")
        found.append(value)
    return found


def _check_hook(cls: type[Callback], name: str) -> None:
    """Raise TypeError for a hook that cannot be called as training calls it."""
    names = list(inspect.signature(getattr(Callback, name)).parameters)
    own = inspect.getattr_static(cls, name)
    given = names[1:] if isinstance(own, staticmethod | classmethod) else names
    hook = getattr(cls, name)
    try:
        inspect.signature(hook).bind(*given)
    except TypeError:
        takes = ", ".join(inspect.signature(hook).parameters)
        message = f"{cls.__name__}.{name}({takes}): training calls {name}({', '.join(names)})"
        raise TypeError(message) from None
    except ValueError:  # what is not made of Python has no signature
        return


@dataclass(frozen=True)
class FitResult:
    """The outcome of a run.

    `history` has every epoch that is done, those before a resume included; `epochs` and `steps` count the same.
    `train` and `validation` are the values of the last epoch, or of the one whose weights are the result, `restored`,
    where `train.stop` asks for the best ones, `test` those over the test set; None without one, and `test` too
    when Ctrl-C ended the run early (`interrupted`).  `seconds` are those of this run.
    """

    history: tuple[EpochResult, ...]
    steps: int
    test: Values | None
    seconds: float
    interrupted: bool = False
    restored: int | None = None

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def train(self) -> Values:
        """Values over the training batches of the last epoch, or the restored one, each before its step."""
        return self._last.train if self.history else {}

    @property
    def validation(self) -> Values | None:
        """Values over the validation set after the last epoch, or after the one whose weights were restored."""
        return self._last.validation if self.history else None

    @property
    def _last(self) -> EpochResult:
        return self.history[-1] if self.restored is None else self.history[self.restored - 1]
