"""Data from Python: from a generator, or from a function that makes a sample by its number."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import labels_of, stored_column
from netdsl.data.dataset import IMAGE, LABEL, Split, check_counts, from_mapping
from netdsl.data.errors import data_error
from netdsl.data.own.array_files import STORED, FileArray
from netdsl.data.stored import Shape, as_array
from netdsl.source import NetError, counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def from_generator(
    make: Callable[[], Iterable[Any]],
    count: int | None = None,
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> Split:
    """Make a split of what a generator gives, once, before training: arrays by name for each sample, or pairs.

    make: called without arguments; gives mappings `{"left": a, "right": b, "label": 3}`, or pairs of a sample and its
    label, which are called `image` and `label`.  count: how many are taken, of a generator without end.  Samples that
    take more than a GiB together are kept in a temporary file until the split is dropped.  classes: as of
    `from_mapping`.

    Errors: NetError for samples of different names, shapes or types, and as of `from_mapping`.
    """
    if not callable(make):
        message = f"from_generator takes a function that makes a generator, not {type(make).__name__}"
        raise data_error(message, fix="from_generator(lambda: generator)")
    with ExitStack() as stack:
        parts: dict[str, _Spool] = {}
        number = -1
        for number, sample in enumerate(islice(make(), count)):
            arrays = _arrays(sample, number)
            if not parts:
                folder = tempfile.TemporaryDirectory(prefix="netdsl-")
                parts = {
                    n: _Spool(n, x, Path(folder.name, str(k)), stack, folder)
                    for k, (n, x) in enumerate(arrays.items())
                }
            if arrays.keys() != parts.keys():
                raise data_error(f"sample {number} has {', '.join(arrays)}, sample 0 {', '.join(parts)}")
            for name, x in arrays.items():
                parts[name].add(x, number)
        if number < 0:
            raise data_error("the generator gives no samples")
        if count is not None and number + 1 < count:
            raise data_error(f"the generator gives {counted(number + 1, 'sample')}, not {count:,}")
        held = {name: part.done() for name, part in parts.items()}
    return from_mapping(held, classes=classes)


def from_function(
    sample: Callable[[int], ArrayLike], labels: ArrayLike, classes: tuple[str, ...] | None = None
) -> Split:
    """Make a split of samples that a function makes when a batch needs them, by their numbers, and of their labels.

    sample: gives the array of a sample, always the same for one number; threads call it at the same time.  labels:
    [n, ...], in memory: they say how many samples there are.  Errors: NetError, also later for samples of other
    shapes.
    """
    given = as_array(labels, LABEL)
    check_counts({LABEL: given.shape})
    target = labels_of(given, classes)
    first = np.asarray(sample(0))
    if first.dtype.kind not in "biuf":
        raise data_error(f"samples are {first.dtype}; they must be booleans, integers or floats")
    made = stored_column(_Made(sample, len(target), first.shape, first.dtype))
    rest = from_mapping({LABEL: target}, classes={LABEL: classes} if classes else None)
    return Split({IMAGE: made, **rest.columns})


@dataclass(frozen=True, eq=False)
class _Made:
    """Samples that a function makes."""

    function: Callable[[int], ArrayLike]
    count: int
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """That of the first."""
        return {self.shape: self.name(0)}

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """The number."""
        return f"sample {index}"

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Call the function for each."""
        rows = np.empty((len(indices), *self.shape), self.dtype)
        for row, index in zip(rows, indices, strict=True):
            x = np.asarray(self.function(int(index)))
            if x.shape != self.shape or x.dtype != self.dtype:
                raise _differs(x, int(index), self.shape, self.dtype)
            row[...] = x
        return rows


def _arrays(sample: Any, number: int) -> dict[str, NDArray[Any]]:
    """The arrays of a sample by name."""
    if isinstance(sample, Mapping):
        return {str(name): as_array(x, f"{name} of sample {number}") for name, x in sample.items()}
    if isinstance(sample, tuple) and len(sample) == 2:
        return _arrays({IMAGE: sample[0], LABEL: sample[1]}, number)
    what = f"sample {number} is a {type(sample).__name__}"
    raise data_error(f"{what}; a sample is a mapping of arrays by name, or a pair of an array and its label")


def _differs(x: NDArray[Any], number: int, shape: Shape, kind: np.dtype[Any], name: str = "") -> NetError:
    which = f"{name} of sample {number}" if name else f"sample {number}"
    return data_error(f"{which} is {x.dtype} {list(x.shape)}, that of sample 0 {kind} {list(shape)}")


class _Spool:
    """Samples as they come, in memory or in a file where they are many."""

    def __init__(self, name: str, first: NDArray[Any], path: Path, stack: ExitStack, kept: object) -> None:
        if first.dtype.kind not in "biuf":
            raise data_error(f"{name} is {first.dtype}; samples are booleans, integers or floats")
        self._name, self._shape, self._kind, self._count = name, first.shape, first.dtype, 0
        self._path, self._kept = path, kept
        self._file: IO[bytes] = stack.enter_context(self._path.open("wb"))

    def add(self, x: NDArray[Any], number: int) -> None:
        """Take the array of the next sample."""
        if x.shape != self._shape or (x.dtype != self._kind and not self._fits(x)):
            raise _differs(x, number, self._shape, self._kind, self._name)
        self._file.write(np.ascontiguousarray(x, self._kind).tobytes())
        self._count += 1

    def _fits(self, x: NDArray[Any]) -> bool:
        return np.can_cast(x.dtype, self._kind, "safe")

    def done(self) -> Any:
        """All of them: an array, or what reads them from the file."""
        self._file.flush()
        shape = (self._count, *self._shape)
        stored = FileArray(self._path, 0, shape, self._kind, self._name, self._kept)
        if self._shape and self._path.stat().st_size >= STORED:
            return stored
        return stored.read(np.arange(self._count))
