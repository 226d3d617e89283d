"""What is known of a split before its samples are read: enough to check that it fits a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netdsl.arrays import Array, np
from netdsl.data.dataset import Split, check_classes, check_shapes, labels_of

LABELS_READ = 2**20
"""Bytes of labels that are read to know them; of larger files the header alone is looked at."""


@dataclass(frozen=True, eq=False)
class Outline:
    """A split without its samples.

    count: samples.  sample, label: shapes of one of them, `()` for a single number.  integers: whether labels are
    whole numbers.  classes: how many there are, where the data set is known.  labels: all of them, where they are at
    hand; a split that is a share of another has the labels of the whole.
    """

    count: int
    sample: tuple[int, ...]
    label: tuple[int, ...]
    integers: bool
    classes: int | None = None
    labels: Array | None = None

    @property
    def distribution(self) -> bool | None:
        """Whether labels are shares of classes, such as one-hot rows: none below 0, together 1; None: unknown."""
        if not self.label:
            return False
        if self.labels is None:
            return None
        sums = self.labels.sum(axis=-1, dtype=np.float64)
        return bool((self.labels >= 0).all() and (np.abs(sums - 1) < 1e-3).all())

    @property
    def indicators(self) -> bool | None:
        """Whether labels hold nothing but 0 and 1; None: unknown."""
        return None if self.labels is None else bool(((self.labels == 0) | (self.labels == 1)).all())

    def highest(self, ignored: int | None = None) -> int | None:
        """The highest integer label, except the ignored one; None: unknown, or there is none."""
        if self.labels is None:
            return None if self.classes is None else self.classes - 1
        counted = self.labels if ignored is None else self.labels[self.labels != ignored]
        return int(counted.max()) if counted.size else None

    def lowest(self, ignored: int | None = None) -> int | None:
        """The lowest integer label, except the ignored one; None: unknown, or there is none."""
        if self.labels is None:
            return None if self.classes is None else 0
        counted = self.labels if ignored is None else self.labels[self.labels != ignored]
        return int(counted.min()) if counted.size else None

    def bounds(self) -> tuple[float | None, float | None]:
        """The lowest and the highest number among the labels; None: unknown."""
        if self.labels is None:
            return self.lowest(), self.highest()
        return float(self.labels.min()), float(self.labels.max())

    def less(self, samples: int) -> Outline:
        """The outline with so many samples fewer."""
        return replace(self, count=self.count - samples)


def outline_of(split: Split) -> Outline:
    """The outline of a split in memory."""
    labels = split.labels
    classes = None if split.classes is None else len(split.classes)
    return Outline(
        len(split), split.sample_shape, labels.shape[1:], labels.dtype.kind == "i", classes, labels
    )


def outline_of_arrays(
    samples: Sequence[int],
    labels: Sequence[int],
    integers: bool,
    values: Array | None,
    classes: tuple[str, ...] | None = None,
) -> Outline:
    """The outline of two arrays of these shapes; `values` are the labels themselves, where they were read.

    `classes` are their names, where they have some.

    Errors: NetError as of `from_arrays`, as far as shapes and labels tell.
    """
    check_shapes(tuple(samples), tuple(labels))
    kept = None if values is None else labels_of(values, classes)
    label = tuple(labels[1:]) if kept is None else kept.shape[1:]
    if integers and label == (1,):
        label = ()
    known = None if classes is None else len(check_classes(classes))
    return Outline(samples[0], tuple(samples[1:]), label, integers, known, kept)
