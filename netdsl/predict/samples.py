"""The inputs of a trained network: pictures, folders of pictures, and arrays from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netdsl.data import CenterCrop, Normalization, Preparation, Resize, Step, Usage
from netdsl.data.column import as_samples
from netdsl.data.dataset import check_sample_shape
from netdsl.data.npy import read_npy, read_npz
from netdsl.data.picture import SUFFIXES, is_picture, pictures_in, read_picture
from netdsl.data.preprocess import preprocessed, shape_after
from netdsl.ir import Node
from netdsl.source import Diagnostic, NetError, warn

Array = NDArray[Any]
Shape = tuple[int, ...]


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
    """The samples of files: either pictures and folders of them, or one .npy or .npz file.

    `fit` resizes and cuts pictures to the network's size.  Raises NetError for files that do not fit the network.
    """
    if len(inputs) > 1:
        return _named(paths, inputs, usage)
    (leaf,) = inputs
    wanted, prepared = leaf.types[0].shape[1:], _preparation(leaf, usage)
    files = [file for path in paths for file in (pictures_in(path) if path.is_dir() else [path])]
    arrays = [path for path in files if not is_picture(path)]
    if not arrays:
        return Pictures(files, leaf.id, wanted, prepared, fit)
    for path in arrays:
        if path.suffix.lower() not in (".npy", ".npz"):
            known = ", ".join((".npy", ".npz", *SUFFIXES))
            raise _error(f"{path} is of no kind that can be read; known endings: {known}")
    if len(files) > 1:
        raise _error(f"{arrays[0]} stands alone: several files at a time are pictures")
    if fit:
        raise _error(f"{arrays[0]} holds arrays; --resize is for pictures")
    return _arrays({leaf.id: (_read(arrays[0], "x"), str(arrays[0]))}, inputs, usage)


def given_samples(feeds: Mapping[str, Any], inputs: Sequence[Node], usage: Usage | None) -> Samples:
    """The samples of arrays by input; raises NetError for arrays that do not fit the network."""
    names = [leaf.id for leaf in inputs]
    if not isinstance(feeds, Mapping):
        example = f"{{{names[0]!r}: array}}"
        raise TypeError(f"a run takes arrays by name, such as {example}, not a {type(feeds).__name__}")
    if feeds.keys() != set(names):
        raise _error(f"the network takes {', '.join(names)}; given are {', '.join(feeds) or 'no arrays'}")
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
        raise _error(f"the inputs have different numbers of samples: {shapes}")
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
    raise _error(message, _cut(wanted, prepared) if stored.ndim > 2 and not steps else None)


def _named(paths: Sequence[Path], inputs: Sequence[Node], usage: Usage | None) -> Samples:
    """Several inputs, each an array of its name."""
    if len(paths) != 1 or paths[0].suffix != ".npz":
        names = ", ".join(leaf.id for leaf in inputs)
        raise _error(f"the network takes {names}: an .npz file with arrays of these names")
    path = paths[0]
    return _arrays({leaf.id: (_read(path, leaf.id), str(path)) for leaf in inputs}, inputs, usage)


def _read(path: Path, key: str) -> Array:
    array = read_npz(path, key) if path.suffix.lower() == ".npz" else read_npy(path)
    return _filled(array, str(path))


def _filled(array: Array, where: str) -> Array:
    if array.size == 0:
        raise _error(f"there are no samples in {where}, whose shape is {list(array.shape)}")
    return array


class Pictures:
    """Pictures from files, each brought to the form that the network was trained on."""

    def __init__(
        self, files: Sequence[Path], name: str, wanted: Shape, prepared: Preparation, fit: bool
    ) -> None:
        self._files, self._name, self._wanted, self._preparation = list(files), name, wanted, prepared
        self.problems: list[Diagnostic] = []
        self._shape = _picture_shape(prepared.sample, wanted)
        self._channels = self._shape[2] if len(self._shape) == 3 else 1
        self._steps: tuple[Step, ...] = prepared.preprocess
        if fit:
            if self._steps:
                raise _error(
                    "the network was trained with a preprocess of its own, which --resize would replace"
                )
            self._steps = fitting(self._shape)
        self._notes: dict[Path, tuple[str, ...]] = {}
        trained = prepared.normalization.pixels
        if trained is None:
            message = "the file does not say what pixels the network was trained on: they are fed as 0 to 255"
            warn(Diagnostic("data", message, fix="checkpoints say it, and artifacts made of them"))
        elif trained.white is None:
            message = (
                f"the network was trained on {trained}, which are no pixels: nobody knows which is white"
            )
            raise _error(
                message, "feed it .npy files of such numbers, or train it on pixels with `normalize`"
            )

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._files)

    def title(self, number: int) -> str:
        """The file."""
        return str(self._files[number])

    def notes(self, number: int) -> tuple[str, ...]:
        """The conversions made, known after the picture is read."""
        return self._notes.get(self._files[number], ())

    def batches(self, size: int) -> Iterator[Mapping[str, Array]]:
        """Pictures, normalised; one that cannot be read or is of another size does not keep the others."""
        rows = self._rows()
        while part := list(islice(rows, size)):
            yield {self._name: np.stack(part).reshape(len(part), *self._wanted)}
        if not self._files:
            raise NetError(*self.problems)

    def _rows(self) -> Iterator[Array]:
        for path in tuple(self._files):
            try:
                row = self._row(path)
            except NetError as error:
                self.problems += error.diagnostics
                self._files.remove(path)
            else:
                yield row

    def _row(self, path: Path) -> Array:
        picture = read_picture(path, self._channels)
        height, width = picture.array.shape[:2]
        array = preprocessed(self._steps, picture.array[None], picture.pixels)
        if array.shape[1:3] != self._shape[:2]:
            size = f"{path} is {width} x {height}, the network takes {self._shape[1]} x {self._shape[0]}"
            raise _error(
                f"{size} (width x height)", f"run it with --resize, or {_cut(self._shape, self._preparation)}"
            )
        resized = f"{width} x {height} to {array.shape[2]} x {array.shape[1]}"
        changed = array.shape[1:3] != (height, width)
        self._notes[path] = (*picture.notes, *([resized] if changed else []))
        normalization = self._preparation.normalization.of(picture.pixels, str(path))
        normalized: Array = normalization(array.reshape(1, *self._shape))[0]
        return normalized


def fitting(shape: Shape) -> tuple[Step, ...]:
    """The steps that make pictures of one size of pictures of any size: the shorter side first, then the middle."""
    height, width = shape[0], shape[1]
    if height == width:
        return (Resize(height), CenterCrop(height))
    return (Resize(max(height, width)), CenterCrop(height, width))


def _picture_shape(sample: Shape, wanted: Shape) -> Shape:
    """[H, W] or [H, W, C] of the data, else of the network."""
    for shape in (sample, wanted):
        if len(shape) == 2 or (len(shape) == 3 and shape[2] <= 4):
            return shape
    raise _error(f"the network takes {list(wanted)}, which is no picture", "feed it .npy or .npz files")


def _cut(shape: Shape, prepared: Preparation) -> str | None:
    """The setting that makes samples of any size fit."""
    if len(shape) not in (2, 3):
        return None
    text = ", ".join(map(str, fitting(shape)))
    return f"train with data {{ preprocess = [{text}] }}"


def _error(message: str, fix: str | None = None) -> NetError:
    return NetError(Diagnostic("data", message, fix=fix))
