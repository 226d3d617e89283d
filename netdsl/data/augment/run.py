"""Running stages on pictures: small groups of samples go through all of them, on some threads.

Kernels work on planes of float32, [samples, channels, height, width], in the units that are stored, and bytes are
rounded once, at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.arrays import np
from netdsl.data.augment.change import Size
from netdsl.data.augment.choose import Leaf
from netdsl.data.augment.kernels import kernel
from netdsl.data.augment.layout import (
    ACTIVE,
    FILL,
    FIRST,
    HIGH,
    LOOK,
    LOW,
    ROW,
    TAPS,
    WHITE,
    blurring,
    sampling,
)
from netdsl.data.augment.look import Look
from netdsl.data.augment.settings import BORDERS
from netdsl.data.augment.stages import Drawn, Moving, gaussian, taps

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: bytes of float32 pictures that go through the stages together: about what a processor's own cache holds
GROUP = 2**18
#: numbers of a batch for which another thread is worth starting
ENOUGH = 2**16


class Work:
    """The memory of a thread: planes at `now`, room for as many numbers at `other`, and scratch memory."""

    def __init__(self, numbers: int) -> None:
        self._pictures = [np.empty(numbers, np.float32) for _ in range(2)]
        self.now, self.other = (array.ctypes.data for array in self._pictures)
        self._scratch, self._start = np.empty(0, np.float32), 0

    def swap(self) -> None:
        """What is in `other` are the pictures from now on."""
        self.now, self.other = self.other, self.now

    def need(self, count: int) -> int:
        """The address of scratch memory for so many numbers, at a multiple of 64 bytes."""
        if len(self._scratch) < count + 16:
            self._scratch = np.empty(count + 16, np.float32)
            self._start = -(-self._scratch.ctypes.data // 64) * 64
        return self._start


class ReadyStage(Protocol):
    """A stage, ready to change the pictures of a batch."""

    @property
    def numbers(self) -> int:
        """How many numbers one of its results has."""

    def __call__(self, work: Work, start: int, count: int) -> None:
        """Change the samples start to start + count of the batch, which are at `work.now`."""


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

    @cached_property
    def _sample(self) -> Any:
        look = self.stage.look
        return kernel("bilinear" if look is None else look.interpolation)

    def __call__(self, work: Work, start: int, count: int) -> None:
        """Sample into the other memory."""
        border = 0 if self.stage.look is None else BORDERS.index(self.stage.look.border)
        sizes = (self.old[0], self.old[1], self.channels, *self.new)
        steps, scratch = self.room(work, start, count)
        rows = self._rows + 8 * ROW * start
        self._sample(work.now, work.other, rows, steps, scratch, count, *sizes, border)
        work.swap()

    def places(self, target: int, work: Work, start: int, count: int) -> None:
        """Write for each pixel of some results the number of the nearest in the picture, or -1, as int64."""
        border = 0 if self.stage.look is None else BORDERS.index(self.stage.look.border)
        steps, scratch = self.room(work, start, count)
        rows = self._rows + 8 * ROW * start
        kernel("places")(target, rows, steps, scratch, count, *self.old, *self.new, border)

    def room(self, work: Work, start: int, count: int) -> tuple[int, int]:
        """The address of the steps of some samples, 0 without any, and of scratch memory."""
        mine = sampling(*self.old, *self.new, self.channels)
        if self.field is None:
            return 0, work.need(mine)
        mine = max(mine, self.field.room)
        scratch = work.need(mine + 2 * count * self.new[0] * self.new[1])
        steps = scratch + 4 * mine
        self.field.write(steps, scratch, start, count)
        return steps, scratch

    @cached_property
    def _rows(self) -> int:
        return self.rows.ctypes.data


@dataclass(eq=False)
class Field:
    """The steps of `elastic`: keys [B, 3] and alphas [B], 0 where it is not made."""

    keys: NDArray[np.uint32]
    alphas: NDArray[np.float64]
    weights: NDArray[np.float32]
    size: Size

    @property
    def room(self) -> int:
        """How many float32 it needs to be written."""
        reach = len(self.weights) // 2
        return blurring(*self.size, *(min(reach, side - 1) for side in self.size))

    def write(self, target: int, scratch: int, start: int, count: int) -> None:
        """Write the steps of some samples, [count, 2, H, W]; scratch: room for `room` numbers."""
        keys, alphas = self.keys[start:].ctypes.data, self.alphas[start:].ctypes.data
        weights, reach = self.weights.ctypes.data, len(self.weights) // 2
        kernel("steps")(target, scratch, keys, alphas, weights, reach, count, *self.size)


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
        change, rows, keys, scratch = self._ready
        change(work.now, rows + 8 * LOOK * start, keys + 12 * start, work.need(scratch), count, *self.shape)

    @cached_property
    def _ready(self) -> tuple[Any, int, int, int]:
        scratch = self.change.scratch(self.shape[:2], self.shape[2])
        return kernel(self.change.name), self.rows.ctypes.data, self.keys.ctypes.data, scratch


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
    """Images [B, H, W, C] of uint8 or float32, contiguous, after all runs, [B, *shape], of the same type.

    Every sample is changed by itself, so that the number of threads changes nothing.
    """
    images = np.ascontiguousarray(images)
    result = np.empty((len(images), *shape), images.dtype)
    before = images[0].size
    most = max([before, *(run.numbers for run in runs)])
    group = max(1, GROUP // (4 * most))

    apart, together = (kernel(name) for name in _LAYOUTS[images.dtype.name])
    source, target, each = images.ctypes.data, result.ctypes.data, images.itemsize
    pixels, after = images[0, ..., 0].size, result[0].size

    def part(first: int, last: int) -> None:
        work = Work(group * most)
        for start in range(first, last, group):
            count = min(group, last - start)
            apart(source + each * before * start, work.now, count, pixels, shape[2])
            for run in runs:
                run(work, start, count)
            together(work.now, target + each * after * start, count, after // shape[2], shape[2])

    in_threads(part, len(images), most, threads)
    return result


_LAYOUTS = {
    "uint8": ("planes_of_bytes", "bytes_of_planes"),
    "float32": ("planes_of_floats", "floats_of_planes"),
}


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
