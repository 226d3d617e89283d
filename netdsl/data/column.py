"""One array of a data set: in memory, or read from where it lies when samples are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.counter import Purpose, random_order
from netdsl.data.errors import data_error
from netdsl.data.pixels import Pixels, look, meaning
from netdsl.data.preprocess import preprocessed, preprocessed_labels
from netdsl.data.step import PreprocessingStep
from netdsl.data.stored import Converted, SampleStore, Shape, Values, part_of, read, read_all, shapes_of
from netdsl.source import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOKED_AT = 1024
"""Samples of a set that is not in memory which tell the range of its numbers."""


@dataclass(frozen=True, eq=False)
class Column:
    """One array of a data set, for an input of a network or for a target of its losses.

    values: n samples of booleans, integers or float32: an array [n, ...], or stored elsewhere (see `SampleStore`).
    pixels: what the numbers mean, of the whole set that this is a part of.
    classes: the names of the classes where the values are class numbers with names.
    found: every different value, of values that are stored elsewhere and have been looked through.
    """

    values: Values
    pixels: Pixels
    classes: tuple[str, ...] | None = None
    found: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """Every shape that a sample has, each with the name of one that has it."""
        return shapes_of(self.values)

    @property
    def shape(self) -> Shape:
        """Shape of one sample, without the batch axis; of the first kind, where there are several."""
        return next(iter(self.shapes))

    @property
    def integers(self) -> bool:
        """Whether the values are booleans or whole numbers."""
        return self.values.dtype.kind in "biu"

    @property
    def in_memory(self) -> bool:
        """Whether nothing has to be read."""
        return isinstance(self.values, np.ndarray)

    @cached_property
    def input(self) -> Column:
        """The samples that an input takes: uint8 or float32."""
        if isinstance(self.values, np.ndarray):
            return replace(self, values=_kept(self.values, self.pixels))
        # Of stored samples nobody knows the range: only what is bytes already stays bytes.
        if self.values.dtype == np.uint8:
            return self
        kind = np.dtype(np.float32)
        return replace(self, values=Converted(self.values, lambda x: floats(x, "samples"), kind))

    @cached_property
    def target(self) -> Column:
        """The values that a loss takes: int64 [n] or [n, ...], or float32; those with one for a sample in memory.

        Errors: NetError; see `labels_of`.
        """
        if isinstance(self.values, np.ndarray) or self.shape in ((), (1,)):
            return replace(self, values=labels_of(read_all(self.values), self.classes))
        kind = np.dtype(np.int64 if self.integers else np.float32)
        return replace(self, values=Converted(self.values, lambda x: labels_of(x, self.classes), kind))

    def part(self, indices: NDArray[np.int64]) -> Column:
        """The samples at `indices`, in that order; copied where they are in memory."""
        return replace(self, values=part_of(self.values, indices))

    def read(self, indices: NDArray[np.int64], steps: Sequence[PreprocessingStep] = ()) -> NDArray[Any]:
        """The samples at `indices`, [n, ...], after steps that bring them to one shape."""
        rows = read(self.values, indices)
        if isinstance(rows, np.ndarray):
            return preprocessed(steps, rows, self.pixels)
        return np.concatenate([preprocessed(steps, row[None], self.pixels) for row in rows])

    def read_label(
        self, indices: NDArray[np.int64], steps: Sequence[PreprocessingStep], fill: int
    ) -> NDArray[Any]:
        """The labels at `indices`, [n, ...], after the steps of their pictures; fill: what borders get."""
        rows = read(self.values, indices)
        if isinstance(rows, np.ndarray):
            return preprocessed_labels(steps, rows, fill)
        return np.concatenate([preprocessed_labels(steps, row[None], fill) for row in rows])


def stored_column(
    stored: SampleStore, white: float | None = None, classes: tuple[str, ...] | None = None
) -> Column:
    """A column of stored numbers; what they mean is found from up to 1,024 of the samples, drawn at random."""
    count = len(stored)
    drawn = np.sort(random_order(0, Purpose.LOOK, 0, count)[:LOOKED_AT])
    low, high = math.inf, -math.inf
    for start in range(0, len(drawn), 64):
        for row in stored.read(drawn[start : start + 64]):
            low, high = min(low, float(row.min())), max(high, float(row.max()))
    rank = 1 + len(next(iter(stored.shapes)))
    return Column(stored, meaning(stored.dtype, rank, (low, high), white), classes)


def as_samples(x: NDArray[Any], white: float | None = None) -> tuple[NDArray[Any], Pixels]:
    """Samples [n, ...] as they are kept, uint8 or float32, and what they mean; errors as in `from_arrays`."""
    if x.dtype.kind not in "biu":
        found = floats(x, "samples")
        return found, look(found, white)
    pixels = look(x, white)
    return _kept(x, pixels), pixels


def _kept(x: NDArray[Any], pixels: Pixels) -> NDArray[Any]:
    """Samples as uint8 where they are bytes, else as float32."""
    if x.dtype in (np.uint8, np.float32):
        return np.ascontiguousarray(x)
    fits = pixels.white == 255 and pixels.high <= 255
    return np.ascontiguousarray(x, np.uint8) if fits else floats(x, "samples")


def labels_of(y: NDArray[Any], classes: tuple[str, ...] | None) -> NDArray[Any]:
    """Labels as a split keeps them: whole numbers as int64, others as float32. Errors: NetError."""
    if y.dtype.kind not in "biu":
        return floats(y, "labels")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    low, high = int(y.min()), int(y.max())
    if low < -(2**31) or high >= 2**31:
        raise data_error(f"labels go from {low} to {high}; they must be whole numbers of 32 bits, or floats")
    if classes is not None and low < 0:
        raise data_error(f"class numbers go from {low} to {high}; they must be 0 or more")
    if classes is not None and y.ndim == 1 and high >= len(classes):
        raise data_error(f"there is a label {high} but only {counted(len(classes), 'class')}")
    return y.astype(np.int64, copy=False)


def floats(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Values as float32. Errors: NetError for values that are no numbers, or not finite as float32."""
    if values.dtype.kind not in "biuf":
        raise data_error(f"{what} are {values.dtype}; they must be booleans, integers or floats")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(values, np.float32)
    finite = np.isfinite(found)
    if not finite.all():
        place = np.unravel_index(int(finite.argmin()), found.shape)
        which = f" in sample {place[0]}" if place and len(found) > 1 else ""
        message = f"the {what} hold values that are not finite numbers in float32"
        raise data_error(f"{message}: {values[place]:g}{which}")
    return found
