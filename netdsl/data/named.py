"""Sources of several arrays: which of them go under which names of inputs, targets and weights.

A source whose constructor takes `**names` is written with them in a file: `npz("f.npz", left = "a", label = "t")`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from netdsl.data.dataset import LABELS, SAMPLES, Split, from_mapping, label_among, need_label
from netdsl.data.errors import data_error
from netdsl.data.npy import npz_header, npz_keys, read_names, read_npz, values_of_npz
from netdsl.data.outline import Outline, is_small, outline_of_arrays
from netdsl.data.reading import Reading
from netdsl.data.stored import shape_of
from netdsl.elaborate.values import shown
from netdsl.source import NetError, brief, suggest

T = TypeVar("T")
Names = tuple[tuple[str, str], ...]
"""Pairs of a name and the array of the source that goes under it, in the order in which they are given."""

Kinds = Mapping[str, tuple[tuple[int, ...], bool]]
"""The shape of a sample of each array, and whether it is of whole numbers."""

CLASSES = "classes"
"""The array of a file that holds the names of classes where nothing else is said."""


def as_names(given: Mapping[str, object], arrays: Sequence[str] = ()) -> Names:
    """The arrays that go under names, checked to be texts. Errors: NetError that begins with the name.

    `arrays` are those of the source, where they are the same for every file.
    """
    names = tuple((name, check_name(name, array, "an array")) for name, array in given.items())
    for name, array in names:
        if arrays and array not in arrays:
            near = suggest(array, arrays)
            fix = f"did you mean {near}?" if near else None
            raise data_error(f"{name} is {brief(shown(array))}; the arrays are {', '.join(arrays)}", fix=fix)
    return names


def renamed(arrays: Mapping[str, T], names: Names) -> dict[str, T]:
    """The arrays of a source under the names that are given, where some are; those without one keep their own."""
    taken = {array for _, array in names}
    return {name: array for name, array in arrays.items() if name not in taken} | {
        name: arrays[array] for name, array in names
    }


def check_name(setting: str, value: object, what: str) -> str:
    """The name of a file or an array that a setting gives. Errors: NetError that begins with the setting."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise data_error(f"{setting} must be the name of {what}, as text, not {brief(shown(value))}")
    return value


@dataclass(frozen=True, init=False)
class Npz:
    """`npz("file.npz", left = "a", label = "t", weight = "w")`: arrays of a .npz file under names; each is [n, ...].

    Names are those of inputs, targets and weights; without them, every array but texts goes under its own.  `x` and
    `y`, or `image` and `label`, feed the only input and target, whatever these are called.  `classes` are the names
    of the classes, texts [n]; without the setting, the array `classes` where there is one.
    """

    file: str
    classes: str | None
    names: Names

    def __init__(self, file: str, *, classes: str | None = None, **names: str) -> None:
        object.__setattr__(self, "file", check_name("file", file, "a file"))
        object.__setattr__(self, "classes", classes and check_name("classes", classes, "an array"))
        object.__setattr__(self, "names", as_names(names))

    def load(self, base: Path) -> Split:
        """Read the arrays."""
        path = base / self.file
        with self._advice(npz_keys(path)):
            read = {name: values_of_npz(path, array) for name, array in self._arrays(path).items()}
            kinds = {name: (shape_of(x)[1:], x.dtype.kind in "biu") for name, x in read.items()}
            classes = self._classes(path, kinds)
            return from_mapping(read, classes={} if classes is None else {need_label(kinds): classes})

    def outline(self, base: Path) -> Outline:
        """Look at the headers, and read the names of classes and arrays that are small."""
        path = base / self.file
        with self._advice(npz_keys(path)):
            arrays = self._arrays(path)
            headers = {name: npz_header(path, array) for name, array in arrays.items()}
            values = {name: read_npz(path, arrays[name]) for name, h in headers.items() if is_small(h)}
            kinds = {name: (shape, dtype.kind in "biu") for name, (shape, dtype) in headers.items()}
            samples = {name: (shape[1:], whole) for name, (shape, whole) in kinds.items()}
            return outline_of_arrays(kinds, values, self._classes(path, samples))

    def reading(self, base: Path) -> Reading:
        """The names of its arrays."""
        return Reading(self._arrays(base / self.file))

    def _arrays(self, path: Path) -> dict[str, str]:
        """The arrays of the file by the names that they go under; of x and y, one that is not named has its own."""
        if not self.names:
            numbers, pair = npz_keys(path, numbers=True), (*SAMPLES, *LABELS)
            return {key: key for key in npz_keys(path) if key in numbers or key in pair}
        names = dict(self.names)
        own = ("x", "y") if names.keys() <= {"x", "y"} else ()
        return {key: key for key in own if key in npz_keys(path)} | names

    def _classes(self, path: Path, kinds: Kinds) -> tuple[str, ...] | None:
        """The names of the classes; those that nobody asked for are left alone where nothing is a class number."""
        if self.classes is None and (CLASSES not in npz_keys(path) or label_among(kinds) is None):
            return None
        return read_names(path, self.classes or CLASSES)

    @contextmanager
    def _advice(self, keys: Sequence[str]) -> Iterator[None]:
        """Say how to leave out arrays, where a mistake may be in one that nobody asked for."""
        try:
            yield
        except NetError as error:
            if self.names or len(keys) < 3:
                raise
            fix = f'name those to take: npz("{self.file}", x = "...", y = "...")'
            raise NetError(*(replace(d, fix=d.fix or fix) for d in error.diagnostics)) from None
