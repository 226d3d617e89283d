"""The inputs of a trained network: pictures, sounds, tables and arrays from files, and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from netdsl.data import Normalization, Preparation, Usage
from netdsl.data.column import as_samples
from netdsl.data.dataset import SAMPLES, check_sample_shape
from netdsl.data.errors import data_error
from netdsl.data.npy import npz_keys, read_npy, read_npz
from netdsl.data.own.folders import files_in
from netdsl.data.own.listed import listed_pictures
from netdsl.data.own.sound import OTHERS, WAV, is_sound
from netdsl.data.own.zarr_store import is_store, read_array, store_arrays
from netdsl.data.picture import SUFFIXES, is_picture, pictures_in
from netdsl.data.preprocess import preprocessed, shape_after
from netdsl.data.reading import Reading
from netdsl.ir import Node
from netdsl.predict.files import Pictures, Sounds, cut
from netdsl.predict.tables import Tables
from netdsl.source import Diagnostic, NetError

Array = NDArray[Any]
Shape = tuple[int, ...]
T = TypeVar("T")
TABLES, SOUNDS = (".csv", ".tsv"), (*WAV, *OTHERS)
_HOLDS = {"array": "arrays", "table": "a table", "sound": "a sound"}


class Samples(Protocol):
    """Samples in order, read one batch at a time."""

    def __len__(self) -> int:
        """How many there are; those that cannot be read are left out once `batches` has found them."""

    def batches(self, size: int) -> Iterator[Mapping[str, Array]]:
        """Arrays by input, `size` samples at a time; raises NetError if no sample can be read."""

    @property
    def problems(self) -> Sequence[Diagnostic]:
        """The errors of the samples that `batches` left out."""

    def title(self, number: int) -> str:
        """The title of a sample: its file or its number."""

    def notes(self, number: int) -> tuple[str, ...]:
        """The conversions made to a sample."""


def read_samples(
    paths: Sequence[Path], inputs: Sequence[Node], usage: Usage | None, fit: bool = False
) -> Samples:
    """The samples of files: pictures, sounds or folders of them, lists, tables, or one .npy, .npz or Zarr store.

    Sounds, lists of pictures and tables are read as in the training, if it read such.

    `fit` resizes and cuts pictures to the network's size.  Raises NetError for files that do not fit the network.
    """
    if len(inputs) > 1:
        return _named(paths, inputs, usage)
    (leaf,) = inputs
    reading = Reading() if usage is None else usage.reading
    given = leaf.id, leaf.types[0].shape[1:], _preparation(leaf, usage)
    found = [pair for path in paths for pair in _files_of(path, reading)]
    files = [path for _, path in found]
    first = dict(reversed(found))
    if len(first) > 1:
        alone = first.pop("array", None) or first.popitem()[1]
        raise data_error(f"{alone} stands alone: several files at a time are pictures, sounds or tables")
    (kind,) = first
    if fit and kind != "picture":
        raise data_error(f"{files[0]} holds {_HOLDS[kind]}; --resize is for pictures")
    if kind == "table":
        return Tables(files, *given, need_form(reading.table, files[0], "a table", "csv(...) or images(...)"))
    if kind == "sound":
        return Sounds(files, *given, need_form(reading.sound, files[0], "a sound", "wav(...)"))
    if kind == "picture":
        return Pictures(files, *given, fit)
    if len(files) > 1:
        raise data_error(f"{files[0]} stands alone: several files at a time are pictures, sounds or tables")
    return _arrays({leaf.id: (_read(files[0], leaf, reading, only=True), str(files[0]))}, inputs, usage)


def _files_of(path: Path, reading: Reading) -> list[tuple[str, Path]]:
    """What there is to read, each with its kind: of a folder sounds, if it was trained on such, else pictures."""
    if not path.is_dir() or is_store(path):
        kind = _kind(path, reading)
        if kind == "list" and reading.listed is not None:
            return [("picture", file) for file in listed_pictures(path, reading.listed)]
        return [(kind, path)]
    if reading.sound is None:
        return [("picture", file) for file in pictures_in(path)]
    found = files_in(path, is_sound)
    if not found:
        raise data_error(f"there are no sounds in {path}")
    return [("sound", file) for file in found]


def _kind(path: Path, reading: Reading) -> str:
    """What a file or a Zarr store is, by its ending. Errors: NetError for one that is nothing of it."""
    ending = path.suffix.lower()
    if is_picture(path):
        return "picture"
    if ending in (".npy", ".npz") or is_store(path):
        return "array"
    if is_sound(path):
        return "sound"
    if reading.listed is not None:
        return "list"
    if ending in TABLES or reading.table is not None:
        return "table"
    known = ", ".join((".npy", ".npz", ".zarr", *TABLES, *SOUNDS, *SUFFIXES))
    raise data_error(f"{path} is of no kind that can be read; known endings: {known}")


def need_form(form: T | None, path: Path, what: str, source: str) -> T:
    """How a file is read. Errors: NetError where the network was not trained on its kind."""
    if form is None:
        message = (
            f"{path} is {what}, and the network does not say how it is read: it was not trained on {source}"
        )
        raise data_error(message, fix="feed it arrays as .npy or .npz")
    return form


def given_samples(feeds: Mapping[str, Any], inputs: Sequence[Node], usage: Usage | None) -> Samples:
    """The samples of arrays by input; raises NetError for arrays that do not fit the network."""
    names = [leaf.id for leaf in inputs]
    if not isinstance(feeds, Mapping):
        example = f"{{{names[0]!r}: array}}"
        raise TypeError(f"a run takes arrays by name, such as {example}, not a {type(feeds).__name__}")
    if feeds.keys() != set(names):
        raise data_error(f"the network takes {', '.join(names)}; given are {', '.join(feeds) or 'no arrays'}")
    arrays = {name: (np.asarray(x), f"the array {name}") for name, x in feeds.items()}
    for x, where in arrays.values():
        _filled(x, where)
    return _arrays(arrays, inputs, usage)


@dataclass(eq=False)
class Arrays:
    """Arrays [n, ...] by input, in the shapes of the data; `shapes` are those that the network takes."""

    arrays: Mapping[str, Array]
    normalizations: Mapping[str, Normalization]
    shapes: Mapping[str, Shape]

    def __len__(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.arrays.values())))

    def batches(self, size: int) -> Iterator[Mapping[str, Array]]:
        """Parts, normalised."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            rows = {name: self.normalizations[name](array[part]) for name, array in self.arrays.items()}
            yield {name: x.reshape(len(x), *self.shapes[name]) for name, x in rows.items()}

    @property
    def problems(self) -> Sequence[Diagnostic]:
        """None: arrays are read whole."""
        return ()

    def title(self, number: int) -> str:
        """The number."""
        return f"sample {number}"

    def notes(self, number: int) -> tuple[str, ...]:
        """Nothing is converted."""
        return ()


def _preparation(leaf: Node, usage: Usage | None) -> Preparation:
    """What becomes of the samples of an input; nothing where nobody said."""
    return Preparation(leaf.types[0].shape[1:]) if usage is None else usage.preparation(leaf.id)


def _arrays(stored: Mapping[str, tuple[Array, str]], inputs: Sequence[Node], usage: Usage | None) -> Samples:
    """Arrays by input, each with what it is called, as training would take them, with or without a batch axis."""
    made = {leaf.id: _prepared(leaf, *stored[leaf.id], _preparation(leaf, usage)) for leaf in inputs}
    if len({len(x) for x, _ in made.values()}) > 1:
        shapes = ", ".join(f"{name} {list(x.shape)}" for name, (x, _) in made.items())
        raise data_error(f"the inputs have different numbers of samples: {shapes}")
    wanted = {leaf.id: leaf.types[0].shape[1:] for leaf in inputs}
    return Arrays(
        {name: x for name, (x, _) in made.items()}, {name: n for name, (_, n) in made.items()}, wanted
    )


def _prepared(leaf: Node, stored: Array, where: str, prepared: Preparation) -> tuple[Array, Normalization]:
    """An array after preprocessing, and how it is normalised."""
    wanted, steps = leaf.types[0].shape[1:], prepared.preprocess
    for x in (stored, stored[None]):
        if x.ndim > 1 or not wanted:
            try:
                check_sample_shape(shape_after(steps, x.shape[1:]), wanted)
            except NetError:
                continue
            kept, pixels = as_samples(x)
            kept = preprocessed(steps, kept, pixels)
            return kept, prepared.normalization.of(pixels, where)
    message = f"{leaf.id} takes [{', '.join(map(str, ('N', *wanted)))}], {where} has {list(stored.shape)}"
    raise data_error(message, fix=cut(wanted) if stored.ndim > 2 and not steps else None)


def _named(paths: Sequence[Path], inputs: Sequence[Node], usage: Usage | None) -> Samples:
    """Several inputs, each an array of a .npz file or of a Zarr group."""
    reading = Reading() if usage is None else usage.reading
    if len(paths) != 1 or not (paths[0].suffix.lower() == ".npz" or is_store(paths[0])):
        names = ", ".join(leaf.id for leaf in inputs)
        others = ", ".join(reading.arrays.get(leaf.id, leaf.id) for leaf in inputs)
        trained = f", or {others}, as in training" if others != names else ""
        raise data_error(
            f"the network takes {names}: an .npz file or a Zarr group with arrays of these names{trained}"
        )
    path = paths[0]
    return _arrays({leaf.id: (_read(path, leaf, reading), str(path)) for leaf in inputs}, inputs, usage)


def _read(path: Path, leaf: Node, reading: Reading, only: bool = False) -> Array:
    """The array of a file for an input: of several that of the training, that of its name, or the only one."""
    if path.suffix.lower() == ".npy":
        return _filled(read_npy(path), str(path))
    read, keys = (read_array, store_arrays(path)) if path.is_dir() else (read_npz, npz_keys(path))
    trained = reading.arrays.get(leaf.id, leaf.id)
    names = [trained, leaf.id, *(SAMPLES if only else ()), *(keys if only and len(keys) == 1 else ())]
    found = next((name for name in names if name in keys), None)
    if found is None:
        wanted = " or ".join(dict.fromkeys(names))
        raise data_error(
            f"{path} has no array {wanted} for {leaf.id}; it has: {', '.join(keys[:20]) or 'none'}"
        )
    return _filled(read(path, found), str(path))


def _filled(array: Array, where: str) -> Array:
    if array.size == 0:
        raise data_error(f"there are no samples in {where}, whose shape is {list(array.shape)}")
    return array
