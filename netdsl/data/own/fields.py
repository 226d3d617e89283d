"""The fields of one column of a table: numbers, or texts that are names of categories."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.own.records import is_missing
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CATEGORIES = 1000
_LINES = 5


@dataclass(eq=False)
class TableColumn:
    """Collects a column: numbers unless the first value is none, or `texts` says so.

    values: a number for each record, or the number of its text in `names`; NaN and -1 where it is missing.
    missing: the records without a value.  odd: the line and the text of the first field of another kind.
    """

    name: str
    texts: bool | None = None
    values: array[float] = field(default_factory=lambda: array("d"))
    names: dict[str, int] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    odd: tuple[int, str] | None = None

    def add(self, text: str, line: int, decimal: str) -> None:
        """Take the field of the next record."""
        if is_missing(text):
            self.missing.append(len(self.values))
            self.values.append(math.nan)
            return
        text = text.strip()
        number = None if self.texts else as_number(text, decimal)
        if self.texts is None:
            self.texts = number is None
        if self.texts:
            # more of them than can be told apart are counted, not kept
            code = self.names.setdefault(text, len(self.names)) if len(self.names) <= MOST_CATEGORIES else -1
            self.values.append(code)
        elif number is None:
            self.odd = self.odd or (line, text)
            self.values.append(math.nan)
        else:
            self.values.append(number)

    def sorted_names(self) -> tuple[str, ...]:
        """The texts in their order: that of numbers, where all of them are numbers."""
        numbers = {name: as_number(name, ".") for name in self.names}
        if None not in numbers.values():
            return tuple(sorted(self.names, key=lambda name: (numbers[name], name)))
        return tuple(sorted(self.names))

    def decimal(self, other: str) -> str | None:
        """The first text, where all are numbers with the decimal sign `other`; None: they are no numbers."""
        found = next((name for name in self.names if other in name), None)
        return found if found and all(as_number(name, other) is not None for name in self.names) else None

    def codes(self, names: Sequence[str], lines: Sequence[int], where: str) -> NDArray[np.int64]:
        """The number of each text in `names`, -1 where it is missing. Errors: NetError for a text that is none."""
        known = {name: number for number, name in enumerate(names)}
        for name, own in self.names.items():
            if name not in known:
                at = lines[self.values.index(own)]
                message = (
                    f"line {at} of {where} has {brief(name)} in {self.name}, which the training set has not"
                )
                raise data_error(message)
        table = np.array([*(known[name] for name in self.names), -1], np.int64)
        values = np.array(self.values)
        return np.asarray(table[np.where(np.isnan(values), len(table) - 1, values).astype(np.int64)])

    def fill(self, how: str | float) -> float:
        """What a missing number is taken for."""
        known = np.array(self.values)
        known = known[~np.isnan(known)]
        if not len(known):
            raise data_error(f"the column {self.name} has no value at all")
        if isinstance(how, str):
            return float(np.median(known) if how == "median" else np.mean(known))
        return float(how)

    def most_frequent(self, names: Sequence[str]) -> int:
        """The number of the most frequent text, the first of several."""
        own = list(self.names)
        counts = Counter(own[int(v)] for v in self.values if not math.isnan(v))
        return max(range(len(names)), key=lambda k: (counts[names[k]], -k))


def as_number(text: str, decimal: str) -> float | None:
    """The finite number that a text is; None: it is something else."""
    if decimal != ".":
        if "." in text:
            return None
        text = text.replace(decimal, ".")
    if "_" in text:  # Python reads 1_000
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def lines_text(lines: Sequence[int]) -> str:
    """`line 3`, `lines 3, 5 and 7`, `lines 1, 2, 3, 4, 5 and 17 more`."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    shown = list(map(str, lines[:_LINES]))
    last = f"{len(lines) - _LINES:,} more" if len(lines) > _LINES else shown.pop()
    return f"lines {', '.join(shown)} and {last}"
