"""Part of a data set: the samples of some classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.arrays import np
from netdsl.data.dataset import Split, need_label
from netdsl.data.errors import data_error
from netdsl.data.outline import Outline, outline_of
from netdsl.data.reading import Readable, Reading
from netdsl.data.stored import read_all
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from netdsl.data.sources import DataSource


@dataclass(frozen=True)
class Only:
    """`only(digits.train, [5, 6, 7])`: the samples of some classes, by number or by name.

    They are numbered anew, in the order of the list: 5 is class 0.  Their names stay.
    """

    source: DataSource
    classes: Sequence[int | str]

    def __post_init__(self) -> None:
        if not hasattr(self.source, "load"):
            message = f"source must be a data set, such as digits.train, not {brief(shown(self.source))}"
            raise data_error(message)
        listed = self.classes if isinstance(self.classes, (list, tuple)) else ()
        plain = all(isinstance(c, (int, str)) and not isinstance(c, bool) for c in listed)
        if not listed or not plain or len(set(listed)) < len(listed):
            raise data_error(
                f"classes must be a list of different classes, such as [0, 1, 2], not {brief(shown(self.classes))}"
            )
        object.__setattr__(self, "classes", tuple(listed))

    def load(self, base: Path) -> Split:
        """Take the samples of these classes, in their order. Errors: NetError for a class without samples."""
        whole = self.source.load(base)
        label = need_label(whole.kinds)
        column = whole.columns[label].target
        values = read_all(column.values)
        numbers = [_number(c, column.classes) for c in self.classes]
        for name, number in zip(self.classes, numbers, strict=True):
            if not (values == number).any():
                raise data_error(f"classes: no sample is of class {name}")
        part = whole.take(np.flatnonzero(np.isin(values, numbers)))
        kept = read_all(part.columns[label].target.values)
        order = np.argsort(numbers)
        anew = order[np.searchsorted(np.array(numbers)[order], kept)]
        names = None if column.classes is None else tuple(column.classes[n] for n in numbers)
        columns = {
            **part.columns,
            label: replace(part.columns[label], values=anew.astype(np.int64), classes=names),
        }
        return replace(part, columns=columns)

    def reading(self, base: Path) -> Reading:
        """That of the source."""
        return self.source.reading(base) if isinstance(self.source, Readable) else Reading()

    def outline(self, base: Path) -> Outline:
        """That of the samples: how many there are, only their labels say."""
        return outline_of(self.load(base))


def _number(name: int | str, classes: tuple[str, ...] | None) -> int:
    """The number of a class; raises NetError for a name that no class has."""
    if isinstance(name, int):
        return name
    if name not in (classes or ()):
        raise data_error(
            f"classes: no class is called {name}; there are {', '.join(classes or ('none with names',))}"
        )
    return (classes or ()).index(name)
