"""A data set: named splits of samples, each of arrays by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column, as_samples, floats, labels_of, stored_column
from netdsl.data.errors import data_error
from netdsl.data.pixels import look
from netdsl.data.stored import SampleStore, Values, as_array, read_all, shape_of, values_of
from netdsl.elaborate.values import shown
from netdsl.source import brief, counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_CLASSES = 1_000_000
MAX_NAME = 200


@dataclass(frozen=True, eq=False)
class Split:
    """Samples: arrays by name, `split["image"]`; made by `from_arrays` or `from_mapping`.

    about: what was found, in one line, where that is not known beforehand.  skipped: what is wrong with the samples
    that were left out, as was asked for.
    """

    columns: Mapping[str, Column]
    about: str = ""
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise data_error(f"there is no array {name!r}; there are {', '.join(self.columns)}")
        return read_all(self.columns[name].values)

    @property
    def kinds(self) -> dict[str, tuple[tuple[int, ...], bool]]:
        """The shape of a sample of each array, and whether it is of whole numbers."""
        return {name: (column.shape, column.integers) for name, column in self.columns.items()}

    def name(self, index: int) -> str:
        """What a sample is called: its file, or its number where it has none."""
        stored = (c.values for c in self.columns.values() if not isinstance(c.values, np.ndarray))
        return next((values.name(index) for values in stored), f"sample {index}")

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The samples at `indices`, in that order; copied where they are in memory."""
        return Split({name: column.part(indices) for name, column in self.columns.items()})

    def named(self, classes: tuple[str, ...]) -> Split:
        """The same samples with names of the classes. Errors: NetError for a label that is none of them."""
        name = need_label(self.kinds)
        column = replace(self.columns[name], classes=classes)
        return replace(self, columns={**self.columns, name: column.target})


IMAGE, LABEL = "image", "label"
"""What the arrays of the known data sets are called, and those of files that hold one array each."""

SAMPLES, LABELS = (IMAGE, "x"), (LABEL, "y")
"""Names of the only sample and the only label of a set: they feed the only input and target, whatever their names."""


def label_among(arrays: Mapping[str, tuple[tuple[int, ...], bool]]) -> str | None:
    """Which of arrays, given by the shape of a sample and whether it is of whole numbers, is the label.

    It is the one called `label` or `y`, else the first of whole numbers, one for each sample; None: there is none.
    """
    whole = (name for name, (shape, integers) in arrays.items() if integers and shape in ((), (1,)))
    return next((name for name in (*LABELS, *whole) if name in arrays), None)


def need_label(arrays: Mapping[str, tuple[tuple[int, ...], bool]]) -> str:
    """The array whose classes have names; see `label_among`. Errors: NetError."""
    name = label_among(arrays)
    if name is None:
        raise data_error(f"classes are names for class numbers, and none of {', '.join(arrays)} is that")
    return name


@dataclass(frozen=True)
class Dataset:
    """Splits by name, normally `train` and `test`."""

    name: str
    splits: Mapping[str, Split]

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise data_error(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")
        return self.splits[split]


def check_sample_shape(ours: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Check that samples of one shape may be handed, reshaped, to a network that wants another.

    Only axes of size 1 may come or go ([28, 28] and [28, 28, 1]), or all be flattened to one ([28, 28, 1] and
    [784]), or one be the rows of a picture in grey ([784] and [28, 28, 1]): anything else would be a guess, such as
    whether colours come before pixels. Errors: NetError.
    """
    one_size = math.prod(ours) == math.prod(wanted)
    flat = one_size and (len(wanted) == 1 or (len(ours) == 1 and math.prod(wanted[2:]) == 1))
    if not flat and [size for size in ours if size != 1] != [size for size in wanted if size != 1]:
        raise data_error(
            f"the data has samples of shape {list(ours)}, the network takes {list(wanted)}",
            fix=_fitting(ours, wanted) if len(ours) == len(wanted) == 3 else None,
        )


def _fitting(ours: tuple[int, ...], wanted: tuple[int, ...]) -> str | None:
    """What makes pictures of one shape [H, W, C] those of another."""
    if (*ours[1:], ours[0]) == wanted:
        return "channels come last: numpy.moveaxis(x, 1, -1) puts those of an array [n, C, H, W] there"
    steps = [] if ours[:2] == wanted[:2] else sizing(wanted)
    if ours[2] == 3 and wanted[2] == 1:
        steps.append("grey")
    elif ours[2] != wanted[2]:
        how = f"channels = {wanted[2]} of folder, images and pairs reads them so"
        return how if wanted[2] in (1, 3, 4) and not steps else None
    return f"preprocess = [{', '.join(steps)}] gives them this shape"


def sizing(shape: tuple[int, ...]) -> list[str]:
    """The steps of `preprocess` that make pictures of all sizes ones of a shape [H, W, ...]."""
    height, width = shape[:2]
    square = height == width
    return [f"resize({height})", f"center_crop({height})"] if square else [f"resize({height}, {width})"]


def from_arrays(
    images: ArrayLike | SampleStore,
    labels: ArrayLike,
    *,
    white: float | None = None,
    classes: tuple[str, ...] | None = None,
) -> Split:
    """Make a split of one array of samples and one of labels, which are called `image` and `label`.

    images [n, ...]: bytes stay, integers with the range of bytes become bytes; all others float32. labels: integers
    and booleans [n] or [n, 1] become int64 [n], other [n, ...] int64 of this shape; floats [n, ...] become float32.
    What labels mean is decided by the loss that takes them. Images that are a `numpy.memmap` stay on disk: they are
    read when a batch needs them.
    `white` is the number that means full intensity, where it is known; else see `netdsl.data.pixels`.

    Errors: NetError for no samples, different numbers of samples and labels, values that are not finite
    numbers, labels that `classes` has no name for.
    """
    x, y = values_of(images, IMAGE), as_array(labels, LABEL)
    check_shapes(shape_of(x), y.shape)
    if classes is not None:
        check_classes(classes)
    samples = Column(*as_samples(x, white)) if isinstance(x, np.ndarray) else _stored(x, IMAGE, white)
    target = labels_of(y, classes)
    return Split({IMAGE: samples, LABEL: Column(target, look(target), classes)})


def from_mapping(
    arrays: Mapping[str, ArrayLike | SampleStore], *, classes: Mapping[str, tuple[str, ...]] | None = None
) -> Split:
    """Make a split of arrays by name, [n, ...] each: `{"left": a, "right": b, "same": t, "weight": w}`.

    The names are those of the network's inputs, and of the targets and weights in its losses and metrics. Numbers
    are kept as they are, floats as float32; a `numpy.memmap` stays on disk and is read batch by batch. `classes` has
    names of classes, by the array that holds their numbers.

    Errors: NetError for no arrays or samples, different numbers of samples, values that are not finite numbers,
    class numbers that have no name.
    """
    if not arrays:
        raise data_error("a data set has at least one array")
    for name, x in arrays.items():
        if not isinstance(name, str):
            raise data_error(f"an array goes by its name, as text, not {brief(shown(name))}")
        if isinstance(x, Mapping | Split | str):
            fix = "netdsl.data.DataPlan({...}) makes a data section of settings and data sets"
            raise data_error(f"{name} is a {type(x).__name__}, not an array of samples", fix=fix)
    names = dict(classes or {})
    if extra := sorted(names.keys() - arrays.keys()):
        raise data_error(f"there are names of classes for {extra[0]}, which is no array of the set")
    held = {name: values_of(x, name) for name, x in arrays.items()}
    check_counts({name: shape_of(x) for name, x in held.items()})
    return Split({name: _column(name, x, names.get(name)) for name, x in held.items()})


def check_counts(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Check that arrays of these shapes, by name, hold as many samples each; returns how many. Errors: NetError."""
    if not shapes:
        raise data_error("there are no arrays in it")
    for name, shape in shapes.items():
        if not shape:
            raise data_error(f"{name} needs shape [n, ...], not one number")
        if math.prod(shape) == 0:
            raise data_error(f"there are no samples in {name}, an array of shape {list(shape)}")
    counts = {name: shape[0] for name, shape in shapes.items()}
    if len(set(counts.values())) > 1:
        given = ", ".join(f"{count} in {name}" for name, count in counts.items())
        raise data_error(f"the arrays have different numbers of samples: {given}")
    return next(iter(counts.values()))


def _column(name: str, x: Values, classes: tuple[str, ...] | None) -> Column:
    if not isinstance(x, np.ndarray):
        return _stored(x, name, classes=classes)
    values = np.ascontiguousarray(x) if x.dtype.kind in "biu" else floats(x, f"values of {name}")
    column = Column(values, look(values), classes and check_classes(tuple(classes)))
    return column.target if classes else column


def _stored(
    values: SampleStore, name: str, white: float | None = None, classes: tuple[str, ...] | None = None
) -> Column:
    """The column of samples that are stored elsewhere."""
    if values.dtype.kind not in "biuf":
        raise data_error(f"{name} holds {values.dtype}; samples must be booleans, integers or floats")
    return stored_column(values, white, classes and check_classes(tuple(classes)))


def check_shapes(samples: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Check that arrays of these shapes are samples and their labels. Errors: NetError."""
    if len(samples) < 2 or len(labels) < 1:
        raise data_error(
            f"samples need shape [n, ...] and labels [n], not {list(samples)} and {list(labels)}"
        )
    if samples[0] != labels[0]:
        raise data_error(f"{counted(samples[0], 'sample')} but {counted(labels[0], 'label')}")
    if math.prod(samples) == 0 or math.prod(labels) == 0:
        empty = samples if math.prod(samples) == 0 else labels
        raise data_error(f"there are no samples in an array of shape {list(empty)}")


def check_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The names of classes, which must be different and can be printed. Errors: NetError."""
    if not 0 < len(classes) <= MAX_CLASSES:
        raise data_error(f"the number of names of classes must be 1 to {MAX_CLASSES}, not {len(classes)}")
    for number, name in enumerate(classes):
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
            raise data_error(
                f"the name of class {number} is {name[:20]!r}: 1 to {MAX_NAME} letters are wanted"
            )
    if len(set(classes)) < len(classes):
        twice = [name for name, count in Counter(classes).items() if count > 1]
        raise data_error(f"two classes are called {twice[0]!r}")
    return classes
