"""The arrays that callbacks keep in checkpoints, under names that no weight has: `callback/CLASS/NAME`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from netdsl.runtime.container import TYPES, Array
from netdsl.source import Diagnostic, NetError, brief
from netdsl.train.callback import Callback
from netdsl.train.checkpoint import Checkpoint

PREFIX = "callback/"


def kept(callbacks: Iterable[Callback]) -> dict[str, Array]:
    """What the callbacks keep, by name; raises TypeError for what no checkpoint can hold."""
    return {place + name: array for c, place in _places(callbacks) for name, array in _state(c).items()}


def taken_apart(checkpoint: Checkpoint) -> tuple[Checkpoint, dict[str, Array]]:
    """A checkpoint without what callbacks keep, and that."""
    of_callbacks = {name: a for name, a in checkpoint.arrays.items() if name.startswith(PREFIX)}
    own = {name: a for name, a in checkpoint.arrays.items() if name not in of_callbacks}
    return replace(checkpoint, arrays=own), of_callbacks


def give_back(callbacks: Iterable[Callback], arrays: Mapping[str, Array]) -> None:
    """Hand every callback what it kept, once all of it fits what they keep now.

    Raises NetError for names that are missing or left over, another shape or type.
    """
    wanted = [(c, place, _state(c)) for c, place in _places(callbacks)]
    names = {place + name for _, place, state in wanted for name in state}
    if extra := sorted(arrays.keys() - names):
        owner = extra[0].split("/")[1]
        raise _refused(f"keeps {extra[0]}, of a callback {owner} that this training does not have so")
    for callback, place, state in wanted:
        for name, array in state.items():
            _check(callback, place + name, array, arrays.get(place + name))
    for callback, place, state in wanted:
        if state:
            callback.load_state({name: arrays[place + name] for name in state})


def _places(callbacks: Iterable[Callback]) -> Iterator[tuple[Callback, str]]:
    """The callbacks and what their names begin with; several of one class are numbered."""
    seen: Counter[str] = Counter()
    for callback in callbacks:
        kind = type(callback).__name__
        seen[kind] += 1
        yield callback, f"{PREFIX}{kind}{seen[kind] if seen[kind] > 1 else ''}/"


def _state(callback: Callback) -> dict[str, Array]:
    given, kind = callback.state(), type(callback).__name__
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{kind}.state gives arrays by name, a mapping, not {brief(repr(given))}")
    state = {name: np.asarray(value) for name, value in given.items()}
    for name, array in state.items():
        if array.dtype.name not in TYPES.values():
            types = ", ".join(TYPES.values())
            raise TypeError(f"{kind}.state gives {array.dtype} as {name}: checkpoints hold {types}")
    return state


def _check(callback: Callback, name: str, wanted: Array, found: Array | None) -> None:
    if found is None:
        kind = type(callback).__name__
        raise _refused(f"has no {name}: it was written without this callback {kind}")
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        shapes = [f"{a.dtype} {list(a.shape)}" for a in (found, wanted)]
        raise _refused(f"has {shapes[0]} as {name}, where this training keeps {shapes[1]}")


def _refused(what: str) -> NetError:
    fix = "give the callbacks that it was written with, or start anew without resuming"
    return NetError(Diagnostic("checkpoint", f"the checkpoint {what}", fix=fix))
