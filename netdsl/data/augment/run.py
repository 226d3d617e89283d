"""Running stages on pictures: small groups of samples go through all of them, on some threads.

Kernels work on float32 in the units that are stored, and bytes are rounded once, at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.arrays import np
from netdsl.data.augment.change import Size
from netdsl.data.augment.choose import Leaf
from netdsl.data.augment.kernels import kernel
from netdsl.data.augment.layout import ACTIVE, FILL, FIRST, HIGH, LOOK, LOW, ROW, TAPS, WHITE
from netdsl.data.augment.look import Look
from netdsl.data.augment.settings import BORDERS
from netdsl.data.augment.stages import Drawn, Moving, gaussian, taps

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: bytes of float32 pictures that go through the stages together: about what a processor's own cache holds
GROUP = 2**18
#: numbers of a batch for which another thread is worth starting
ENOUGH = 2**16


@dataclass(eq=False)
class Work:
    """The memory of a thread: pictures in `now`, [count * numbers], and room for as many in `other` and `scratch`."""

    now: NDArray[np.float32]
    other: NDArray[np.float32]
    scratch: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def swap(self) -> None:
        """What is in `other` are the pictures from now on."""
        self.now, self.other = self.other, self.now

    def need(self, count: int) -> int:
        """The address of scratch memory for so many numbers."""
        if len(self.scratch) < count:
            self.scratch = np.empty(count, np.float32)
        return self.scratch.ctypes.data


class ReadyStage(Protocol):
    """A stage, ready to change the pictures of a batch."""

    @property
    def numbers(self) -> int:
        """How many numbers one of its results has."""

    def __call__(self, work: Work, start: int, count: int) -> None:
        """Change the samples start to start + count of the batch, which are in `work.now`."""


@dataclass(eq=False)
class MovingRun:
    """Geometry: every result sampled once."""

    stage: Moving
    rows: NDArray[np.float64]
    old: Size
    new: Size
    channels: int
    field: Field | None

    @property
    def numbers(self) -> int:
        """Those of the new size."""
        return self.new[0] * self.new[1] * self.channels

    def __call__(self, work: Work, start: int, count: int) -> None:
        """Sample into the other memory."""
        look = self.stage.look
        steps = 0 if self.field is None else self.field.steps(work, start, count)
        border = 0 if look is None else BORDERS.index(look.border)
        sizes = (*self.old, self.channels, *self.new)
        rows = self.rows[start : start + count].ctypes.data
        sample = kernel("bilinear" if look is None else look.interpolation)
        sample(work.now.ctypes.data, work.other.ctypes.data, rows, steps, count, *sizes, border)
        work.swap()


@dataclass(eq=False)
class Field:
    """The steps of `elastic`: keys [B, 3] and alphas [B], 0 where it is not made."""

    keys: NDArray[np.uint32]
    alphas: NDArray[np.float64]
    weights: NDArray[np.float32]
    size: Size

    def steps(self, work: Work, start: int, count: int) -> int:
        """The address of the steps of some samples, [count, 2, H, W], in the scratch memory."""
        pixels = self.size[0] * self.size[1]
        at = work.need(pixels * (2 * count + 1))
        keys, alphas = self.keys[start : start + count], self.alphas[start : start + count]
        where, reach = (
            (keys.ctypes.data, alphas.ctypes.data, self.weights.ctypes.data),
            len(self.weights) // 2,
        )
        kernel("steps")(at, at + 8 * pixels * count, *where, reach, count, *self.size)
        return at


def field_of(stage: Moving, drawn: Drawn, size: Size) -> Field | None:
    """The steps of a stage whose results have this size."""
    leaf = stage.elastic
    if leaf is None:
        return None
    alphas = np.where(leaf.made(drawn.draws), leaf.change.alpha, 0.0)  # type: ignore[attr-defined]
    weights = gaussian(leaf.change.sigma)  # type: ignore[attr-defined]
    return Field(drawn.sample_keys(leaf.place), alphas, weights, size)


def moving_run(stage: Moving, drawn: Drawn, size: Size, channels: int, white: float | None) -> MovingRun:
    """The stage for pictures of this size; white: full intensity, None where nobody knows."""
    maps, new = stage.maps(drawn, size), stage.size(size)
    rows = np.zeros((len(maps), ROW))
    rows[:, :9] = maps.reshape(-1, 9)
    look = stage.look
    between = look is not None and look.interpolation != "nearest"
    rows[:, TAPS] = taps(maps, new) if between else 1
    rows[:, FILL] = 0 if look is None else look.fill * (white or 0)
    # Values between pixels are between their values, but for bicubic ones, which overshoot.
    over = look is not None and look.interpolation == "bicubic" and white is not None
    rows[:, LOW], rows[:, HIGH] = (0, white) if over else (-np.inf, np.inf)
    return MovingRun(stage, rows, size, new, channels, field_of(stage, drawn, new))


@dataclass(eq=False)
class LookRun:
    """Appearance: pictures changed where they are."""

    change: Look
    rows: NDArray[np.float64]
    keys: NDArray[np.uint32]
    shape: tuple[int, int, int]

    @property
    def numbers(self) -> int:
        """As many as before."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def __call__(self, work: Work, start: int, count: int) -> None:
        """Change them."""
        scratch = work.need(self.change.scratch(self.shape[:2], self.shape[2]))
        rows, keys = (
            self.rows[start : start + count].ctypes.data,
            self.keys[start : start + count].ctypes.data,
        )
        kernel(self.change.name)(work.now.ctypes.data, rows, keys, scratch, count, *self.shape)


def look_run(leaf: Leaf, drawn: Drawn, shape: tuple[int, int, int], white: float) -> LookRun:
    """A change of appearance for pictures of this shape."""
    assert isinstance(leaf.change, Look)
    rows = np.zeros((len(drawn.indices), LOOK))
    rows[:, ACTIVE], rows[:, WHITE] = leaf.made(drawn.draws), white
    for k, values in enumerate(leaf.change.numbers(drawn.draws[leaf.place], shape[:2])):
        rows[:, FIRST + k] = values
    return LookRun(leaf.change, rows, drawn.sample_keys(leaf.place), shape)


def run_pictures(
    images: NDArray[Any], shape: tuple[int, ...], runs: Sequence[ReadyStage], threads: int
) -> NDArray[Any]:
    """Images [B, H, W, C] of uint8 or float32 after all runs, [B, *shape], of the same type.

    Every sample is changed by itself, so that the number of threads changes nothing.
    """
    result = np.empty((len(images), *shape), images.dtype)
    before = images[0].size
    most = max([before, *(run.numbers for run in runs)])
    group = max(1, GROUP // (4 * most))

    def part(first: int, last: int) -> None:
        work = Work(np.empty(group * most, np.float32), np.empty(group * most, np.float32))
        for start in range(first, last, group):
            count = min(group, last - start)
            work.now[: count * before] = images[start : start + count].reshape(-1)
            for run in runs:
                run(work, start, count)
            _store(work.now, result[start : start + count])

    in_threads(part, len(images), most, threads)
    return result


def _store(values: NDArray[np.float32], result: NDArray[Any]) -> None:
    if result.dtype == np.uint8:
        kernel("narrow")(values.ctypes.data, result.ctypes.data, result.size)
    else:
        result[...] = values[: result.size].reshape(result.shape)


def in_threads(part: Callable[[int, int], None], count: int, numbers: int, threads: int) -> None:
    """Call part(first, last) for shares of `count` samples, in this thread and others; what one raises is raised."""
    workers = max(1, min(threads, count, count * numbers // ENOUGH))
    bounds = [count * k // workers for k in range(workers + 1)]
    errors: list[BaseException] = []

    def caught(first: int, last: int) -> None:
        try:
            part(first, last)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=caught, args=pair) for pair in pairwise(bounds[1:])]
    for thread in others:
        thread.start()
    caught(0, bounds[1])
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
