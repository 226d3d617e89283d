"""What is known of a split before its samples are read: enough to check that it fits a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from netdsl.arrays import Array, np
from netdsl.data.column import Column, labels_of
from netdsl.data.dataset import (
    IMAGE,
    LABEL,
    Split,
    check_classes,
    check_counts,
    check_shapes,
    need_label,
    sizing,
)
from netdsl.data.errors import data_error
from netdsl.data.preprocess import shape_after
from netdsl.data.step import PreprocessingStep
from netdsl.data.stored import Shape
from netdsl.data.stream import Header
from netdsl.source import counted

LABELS_READ = 2**20
"""Bytes of labels that are read to know them; of larger files the header alone is looked at."""


@dataclass(frozen=True, eq=False)
class ArrayOutline:
    """An array of a split, looked at from outside.

    shape: of one sample, `()` for a single number.  integers: whether it holds whole numbers.  classes: how many
    there are, where class numbers have names.  values: all of them, or each different one, where they are at hand;
    of a split that is a share of another, those of the whole.  shapes: every shape that a sample has, each with the
    name of one that has it, where they may differ.  as_names: the setting of the source that takes these numbers for
    names of classes, where it has one.  in_python: whether it was made in Python, and not by a source of a file.
    """

    shape: Shape
    integers: bool
    classes: int | None = None
    values: Array | None = None
    shapes: Mapping[Shape, str] = field(default_factory=dict)
    as_names: str | None = None
    in_python: bool = False

    @property
    def label(self) -> tuple[int, ...]:
        """The shape of a label: class numbers [n, 1] are as good as [n]."""
        return () if self.integers and self.shape == (1,) else self.shape

    @property
    def distribution(self) -> bool | None:
        """Whether labels are shares of classes, such as one-hot rows: none below 0, together 1; None: unknown."""
        if not self.label:
            return False
        if self.values is None or self.values.shape[1:] != self.shape:
            return None
        sums = self.values.sum(axis=-1, dtype=np.float64)
        return bool((self.values >= 0).all() and (np.abs(sums - 1) < 1e-3).all())

    @property
    def indicators(self) -> bool | None:
        """Whether labels hold nothing but 0 and 1; None: unknown."""
        return None if self.values is None else bool(((self.values == 0) | (self.values == 1)).all())

    def highest(self, ignored: int | None = None) -> int | None:
        """The highest integer label, except the ignored one; None: unknown, or there is none."""
        if self.values is None:
            return None if self.classes is None else self.classes - 1
        counted = self.values if ignored is None else self.values[self.values != ignored]
        return int(counted.max()) if counted.size else None

    def lowest(self, ignored: int | None = None) -> int | None:
        """The lowest integer label, except the ignored one; None: unknown, or there is none."""
        if self.values is None:
            return None if self.classes is None else 0
        counted = self.values if ignored is None else self.values[self.values != ignored]
        return int(counted.min()) if counted.size else None

    def bounds(self) -> tuple[float | None, float | None]:
        """The lowest and the highest number among the labels; None: unknown."""
        if self.values is None:
            return self.lowest(), self.highest()
        return float(self.values.min()), float(self.values.max())


@dataclass(frozen=True, eq=False)
class Outline:
    """A split without its samples: how many there are, and its arrays by name."""

    count: int
    arrays: Mapping[str, ArrayOutline]

    @property
    def kinds(self) -> dict[str, tuple[tuple[int, ...], bool]]:
        """The shape of a sample of each array, and whether it is of whole numbers."""
        return {name: (array.shape, array.integers) for name, array in self.arrays.items()}

    def named(self, classes: tuple[str, ...]) -> Outline:
        """The outline of the set whose classes have these names. Errors: NetError; see `Split.named`."""
        name = need_label(self.kinds)
        array = self.arrays[name]
        if array.values is not None:
            labels_of(array.values, classes)
        elif array.classes is not None and array.classes > len(classes):
            raise data_error(
                f"there is a label {array.classes - 1} but only {counted(len(classes), 'class')}"
            )
        return replace(self, arrays={**self.arrays, name: replace(array, classes=len(classes))})


def is_small(header: Header) -> bool:
    """Whether an array of this shape and type is so small that it is read to look at its values."""
    shape, dtype = header
    return math.prod(shape) * dtype.itemsize <= LABELS_READ


def outline_of(split: Split) -> Outline:
    """The outline of a split in memory."""
    return Outline(len(split), {name: _outline(column) for name, column in split.columns.items()})


def _outline(column: Column) -> ArrayOutline:
    classes = None if column.classes is None else len(column.classes)
    values = column.values if isinstance(column.values, np.ndarray) else column.found
    return ArrayOutline(column.shape, column.integers, classes, values, column.shapes)


def outline_of_arrays(
    arrays: Mapping[str, tuple[tuple[int, ...], bool]],
    values: Mapping[str, Array],
    classes: tuple[str, ...] | None = None,
) -> Outline:
    """The outline of arrays by name: each with its shape [n, ...] and whether it is of whole numbers.

    `values` are those that were read, `classes` the names of the classes of the array `label_among` them.

    Errors: NetError as of `from_mapping`, as far as shapes and values tell.
    """
    count = check_counts({name: shape for name, (shape, _) in arrays.items()})
    found = {
        name: ArrayOutline(shape[1:], integers, None, values.get(name))
        for name, (shape, integers) in arrays.items()
    }
    outline = Outline(count, found)
    return outline if classes is None else outline.named(check_classes(classes))


def outline_of_pair(
    samples: Sequence[int],
    labels: Sequence[int],
    integers: bool,
    values: Array | None,
) -> Outline:
    """The outline of an array of samples and one of labels; `values` are the labels, where they were read.

    `integers` is of the labels.

    Errors: NetError as of `from_arrays`, as far as shapes and labels tell.
    """
    check_shapes(tuple(samples), tuple(labels))
    kept = None if values is None else labels_of(values, None)
    label = ArrayOutline(tuple(labels[1:]) if kept is None else kept.shape[1:], integers, None, kept)
    return Outline(samples[0], {IMAGE: ArrayOutline(tuple(samples[1:]), False), LABEL: label})


def one_shape(
    steps: Sequence[PreprocessingStep], shapes: Mapping[Shape, str], wanted: Shape | None = None
) -> Shape:
    """The shape of samples after all steps, which must be the same for all of them.

    `shapes` are those that they have before, each with the name of a sample, `wanted` is what a network takes, where
    that is known. Errors: NetError that names two.
    """
    (first, name), *others = shapes.items()
    made = shape_after(steps, first)
    for shape, other in others:
        found = shape_after(steps, shape)
        if found != made:
            after = f" after {', '.join(map(str, steps))}" if steps else ""
            message = f"the samples differ in size{after}: {name} is {list(made)}, {other} {list(found)}"
            raise data_error(message, fix=_to_one_size(shapes, wanted))
    return made


def _to_one_size(shapes: Mapping[Shape, str], wanted: Shape | None) -> str | None:
    """The setting that makes pictures of several sizes one: that of the network, where there is one."""
    if any(len(shape) not in (2, 3) for shape in shapes):
        return None
    side = min(min(shape[:2]) for shape in shapes)
    size = wanted if wanted is not None and len(wanted) in (2, 3) else (side, side)
    return f"preprocess = [{', '.join(sizing(size))}] gives all of them one size"


def prepared_outline(
    outline: Outline,
    steps: Mapping[str, Sequence[PreprocessingStep]],
    wanted: Mapping[str, Shape] | None = None,
) -> Outline:
    """The outline whose inputs, by name, have been preprocessed by these steps; `wanted` as in `one_shape`.

    Errors: NetError.
    """
    arrays = dict(outline.arrays)
    for name, own in steps.items():
        found = arrays[name]
        shape = one_shape(own, found.shapes or {found.shape: "sample 0"}, (wanted or {}).get(name))
        arrays[name] = replace(found, shape=shape, shapes={})
    return replace(outline, arrays=arrays)
