"""A column of a table as labels: class numbers with names, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column, labels_of
from netdsl.data.dataset import check_classes
from netdsl.data.own.fields import TableColumn
from netdsl.data.own.folders import class_counts
from netdsl.data.pixels import look

if TYPE_CHECKING:
    from numpy.typing import NDArray


def class_labels(
    column: TableColumn, classes: tuple[str, ...], kept: NDArray[np.int64], lines: Sequence[int], where: str
) -> tuple[Column, str]:
    """Texts as class numbers, those of the kept records, and what they are in words. Errors: NetError."""
    check_classes(classes)
    target = labels_of(column.codes(classes, lines, where)[kept], classes)
    return Column(target, look(target), classes), f"{column.name} of {class_counts(target.tolist(), classes)}"


def number_labels(numbers: NDArray[Any], name: str) -> tuple[Column, str]:
    """Numbers [n] or [n, k] as labels, whole ones as integers, and what they are in words. Errors: NetError."""
    whole = bool((numbers == np.round(numbers)).all() and (np.abs(numbers) < 2**31).all())
    target = labels_of(numbers.astype(np.int64) if whole else numbers, None)
    return Column(target, look(target)), f"{name} from {numbers.min():g} to {numbers.max():g}"
