"""Samples that are not in memory: they are read from where they lie when they are asked for.

Labels are small and always in memory; what is stored are the samples themselves, and maps of labels such as masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.source import NetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.int64]
    Rows: TypeAlias = NDArray[Any] | Sequence[NDArray[Any]]

Shape = tuple[int, ...]


class SampleStore(Protocol):
    """Samples by number, read by any thread at any time; the same number gives the same bits."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers of every sample."""

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """Every shape that a sample has, each with the name of one that has it; usually there is but one."""

    def __len__(self) -> int:
        """How many samples there are."""

    def read(self, indices: Indices) -> Rows:
        """The samples at `indices`: a list of arrays, or one array [n, ...].

        Errors: NetError that names the sample.
        """

    def name(self, index: int) -> str:
        """What a sample is called in messages: its file, or its number."""


if TYPE_CHECKING:
    Values: TypeAlias = NDArray[Any] | SampleStore
else:
    Values = Any


@dataclass(frozen=True, eq=False)
class SubsetStore:
    """Some of the samples of another store."""

    whole: SampleStore
    indices: Indices

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the whole."""
        return self.whole.dtype

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """Those of the whole, of which a part may have fewer."""
        return self.whole.shapes

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Indices) -> Rows:
        """Read from the whole."""
        return self.whole.read(self.indices[indices])

    def name(self, index: int) -> str:
        """That in the whole."""
        return self.whole.name(int(self.indices[index]))


@dataclass(frozen=True, eq=False)
class Converted:
    """The samples of another store, [1, ...] each, after a function that keeps their shape."""

    stored: SampleStore
    convert: Callable[[NDArray[Any]], NDArray[Any]]
    dtype: np.dtype[Any]

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """Those of the store."""
        return self.stored.shapes

    def __len__(self) -> int:
        return len(self.stored)

    def read(self, indices: Indices) -> Rows:
        """Read and convert each."""
        rows = self.stored.read(indices)
        return [self._converted(row, int(index)) for row, index in zip(rows, indices, strict=True)]

    def _converted(self, row: NDArray[Any], index: int) -> NDArray[Any]:
        try:
            return np.asarray(self.convert(row[None])[0])
        except NetError as error:
            raise named(error, self.name(index)) from None

    def name(self, index: int) -> str:
        """That in the store."""
        return self.stored.name(index)


@dataclass(frozen=True, eq=False)
class Mapped:
    """An array [n, ...] that the system maps from a file, such as a `numpy.memmap`; `title` is what it is called."""

    array: NDArray[Any]
    title: str
    shapes: Mapping[Shape, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", {self.array.shape[1:]: self.name(0)})

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the array."""
        kind: np.dtype[Any] = self.array.dtype.newbyteorder("=")
        return kind

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: Indices) -> Rows:
        """Copy the samples."""
        return np.array(self.array[indices], self.dtype)

    def name(self, index: int) -> str:
        """The name of the array, and the number."""
        return f"sample {index} of {self.title}"


def values_of(given: Any, name: str) -> Values:
    """Samples that somebody gives: an array, what the system maps from a file, or what is stored elsewhere."""
    if isinstance(given, np.memmap) and given.ndim > 1:
        return Mapped(given, name)
    return given if hasattr(given, "shapes") and hasattr(given, "read") else as_array(given, name)


def as_array(given: Any, name: str) -> NDArray[Any]:
    """The array of what Python has. Errors: NetError for rows that differ, and for values under a mask."""
    if np.ma.is_masked(given):
        fix = "filled(...) gives them a value, compressed() leaves them out"
        raise data_error(f"{name} has values under its mask, which nothing here looks at", fix=fix)
    try:
        return np.asarray(given)
    except (ValueError, TypeError) as error:
        raise data_error(f"{name} makes no array: {error}") from None


def shape_of(values: Values) -> Shape:
    """[n, ...] of samples of one shape."""
    return values.shape if isinstance(values, np.ndarray) else (len(values), *next(iter(values.shapes)))


def part_of(values: Values, indices: Indices) -> Values:
    """The samples at `indices`, in that order: copied where they are in memory."""
    return values[indices] if isinstance(values, np.ndarray) else SubsetStore(values, indices)


def read(values: Values, indices: Indices) -> Rows:
    """The samples at `indices`: one array [n, ...], or a list where they are read one by one."""
    return values[indices] if isinstance(values, np.ndarray) else values.read(indices)


def read_all(values: Values) -> NDArray[Any]:
    """All samples [n, ...], which must have one shape."""
    if isinstance(values, np.ndarray):
        return values
    return np.stack(list(values.read(np.arange(len(values)))))


def shapes_of(values: Values) -> Mapping[Shape, str]:
    """Every shape that a sample has, each with the name of one that has it."""
    return {values.shape[1:]: "sample 0"} if isinstance(values, np.ndarray) else values.shapes


def named(error: NetError, name: str) -> NetError:
    """The errors with the name of a sample before their messages."""
    from dataclasses import replace

    return NetError(*(replace(d, message=f"{name}: {d.message}") for d in error.diagnostics))
