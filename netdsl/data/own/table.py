"""`csv("d.csv", label = "species")`: a table of numbers and categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column
from netdsl.data.dataset import LABEL, Split
from netdsl.data.errors import data_error
from netdsl.data.named import check_name
from netdsl.data.outline import Outline, outline_of
from netdsl.data.own.fields import MOST_CATEGORIES, TableColumn, lines_text
from netdsl.data.own.folders import listed
from netdsl.data.own.labels import class_labels, number_labels
from netdsl.data.own.records import Form, column_of, open_records
from netdsl.data.own.source import FollowingSource
from netdsl.data.pixels import look
from netdsl.data.reading import Encoded, Reading, TableReading
from netdsl.elaborate.values import in_quotes, shown
from netdsl.ir.types import FLOAT_MAX
from netdsl.source import brief, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

X = "x"
_MISSING = ("refuse", "skip", "mean", "median")
_ENCODE = ("one_hot", "number")


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was read: its columns, and the line of each record."""

    columns: dict[str, TableColumn]
    lines: Sequence[int]


@dataclass(frozen=True)
class Csv(FollowingSource):
    """`csv("d.csv", label = "species")`: records of numbers and categories, `x` [n, columns], and their labels.

    label: the column of labels, or a list of columns of numbers; none: a set without labels. columns: those that are
    taken, by default all but the label; without: those that are not. categories: columns that are no numbers though
    they look so. encode: categories as "one_hot" or by "number". missing: what becomes of values that are missing:
    "refuse", "skip" the record, "mean" or "median" of the column (the most frequent category), or a number.
    separator, decimal, encoding, header: how the file is written.
    """

    file: str
    label: Any = None
    columns: Any = None
    without: Any = ()
    categories: Any = ()
    encode: str = "one_hot"
    missing: Any = "refuse"
    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True

    def __post_init__(self) -> None:
        check_name("file", self.file, "a file")
        for name in ("label", "columns", "without", "categories"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        if self.encode not in _ENCODE:
            raise data_error(f'encode is "one_hot" or "number", not {brief(shown(self.encode))}')
        number = isinstance(self.missing, int | float) and not isinstance(self.missing, bool)
        if self.missing not in _MISSING and not (number and abs(self.missing) <= FLOAT_MAX):
            words = ", ".join(f'"{word}"' for word in _MISSING)
            raise data_error(f"missing is {words} or a number, not {brief(shown(self.missing))}")
        if self.decimal not in (".", ","):
            raise data_error(f'decimal is "." or ",", not {brief(shown(self.decimal))}')
        self._check_columns()
        self._form()

    def _check_columns(self) -> None:
        """Check that no column is named twice, or in two roles. Errors: NetError."""
        for setting in ("label", "columns", "without", "categories"):
            given = getattr(self, setting) or ()
            twice = next((name for name in given if given.count(name) > 1), None)
            if twice is not None:
                raise data_error(f"{setting} names {brief(twice)} twice")
        if self.columns and self.without:
            message = "without leaves out some of all columns, and columns says which ones are taken"
            raise data_error(message, fix="give one of the two")
        both = next((name for name in self.columns or () if name in (self.label or ())), None)
        if both is not None:
            message = f"columns has {brief(both)}, which is the label: the network would be told the answer"
            raise data_error(message, fix="leave it out of columns")

    def _form(self) -> Form:
        return Form(self.separator, self.encoding, self.header)

    def outline(self, base: Path) -> Outline:
        """Read the table, which is small beside pictures."""
        found = outline_of(self.load(base))
        if len(self.label or ()) != 1 or found.arrays[LABEL].classes is not None:
            return found
        label = replace(found.arrays[LABEL], as_names=f'categories = ["{self.label[0]}"]')
        return replace(found, arrays={**found.arrays, LABEL: label})

    def load(self, base: Path) -> Split:
        """Read the table."""
        path = base / self.file
        source = self._train or self
        table = self._table(base)
        labels, features = source._encoding(base)
        kept, skipped = self._kept(table, [*labels, *features], path)
        x = np.concatenate([self._values(table, e, path) for e in features], axis=1)[kept]
        columns = {X: Column(x.astype(np.float32), look(x.astype(np.float32)))}
        about = [f"{self.file}: {counted(len(kept), 'record')}", f"x of {counted(x.shape[1], 'number')}"]
        about[-1] += f" ({listed(_labelled(features, source.encode))})"
        if labels:
            columns[LABEL], text = self._labels(table, labels, kept, path)
            about.append(text)
        about += self._filled(table, features)
        return Split(columns, ", ".join(about), skipped)

    def reading(self, base: Path) -> Reading:
        """Its columns as they became numbers."""
        labels, features = self._encoding(base)
        names = tuple(self._table(base).columns)
        form = self.separator, self.decimal, self.encoding, self.header
        table = TableReading(tuple(features), names, tuple(e.name for e in labels), self.encode, *form)
        return Reading(table=table)

    def _table(self, base: Path) -> Table:
        path, texts = base / self.file, frozenset(self.categories)
        if self._train is not None:
            encoded = [e for part in self._train._encoding(base) for e in part]
            texts = frozenset(e.name for e in encoded if e.categories is not None)
        try:
            status = path.stat()
        except OSError:
            return _read(path, self._form(), texts, self.decimal, 0, 0)  # which says what is wrong
        return _read(path, self._form(), texts, self.decimal, status.st_size, status.st_mtime_ns)

    def _encoding(self, base: Path) -> tuple[list[Encoded], list[Encoded]]:
        """How the labels and the other columns become numbers, as this table has them."""
        path, table = base / self.file, self._table(base)
        names = tuple(table.columns)
        if not table.lines:
            raise data_error(f"there are no records in {path}, only the names of columns")
        for setting, given in (
            ("label", self.label),
            ("without", self.without),
            ("categories", self.categories),
        ):
            for name in given or ():
                column_of(name, names, path, setting)
        chosen = self.columns or [name for name in names if name not in {*(self.label or ()), *self.without}]
        for name in chosen:
            column_of(name, names, path, "columns")
        if not chosen:
            raise data_error(f"{path} has no columns beside the label")
        for name in self.categories:
            if name not in (*chosen, *(self.label or ())):
                raise data_error(f"categories has {brief(name)}, which is not taken from {path}")
        labels = [self._encoded(table.columns[name], path, table, label=True) for name in self.label or ()]
        return labels, [self._encoded(table.columns[name], path, table) for name in chosen]

    def _encoded(self, column: TableColumn, path: Path, table: Table, label: bool = False) -> Encoded:
        _check_kind(column, path)
        if column.name not in self.categories:
            _check_decimal(column, path, "," if self.decimal == "." else ".")
        if column.texts is None:
            raise data_error(
                f"the column {column.name} of {path} has no value at all", fix=_without(column.name)
            )
        if column.texts and len(column.names) > MOST_CATEGORIES:
            message = f"the column {column.name} of {path} has more than {MOST_CATEGORIES:,} different texts"
            raise data_error(message, fix=None if label else _without(column.name))
        fills = not label and self.missing not in ("refuse", "skip")
        if not column.texts:
            return Encoded(column.name, None, column.fill(self.missing) if fills else None)
        names = column.sorted_names()
        return Encoded(column.name, names, column.most_frequent(names) if fills else None)

    def _kept(
        self, table: Table, wanted: Sequence[Encoded], path: Path
    ) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """The records that are taken, and what is wrong with the others. Errors: NetError for missing values."""
        missing: dict[int, str] = {}
        for e in wanted:
            if e.name not in table.columns:
                raise data_error(f"{path} has no column {e.name}, which the training set has")
            column = table.columns[e.name]
            _check_kind(column, path)
            if column.missing and e.fill is None:
                if self.missing != "skip":
                    raise self._refused(column, table, path)
                missing.update((row, e.name) for row in column.missing if row not in missing)
        kept = np.array([row for row in range(len(table.lines)) if row not in missing], np.int64)
        if not len(kept):
            raise data_error(
                f"there are no records in {path}" + (" without missing values" if missing else "")
            )
        said = (
            f"line {table.lines[row]} of {path}: {name} is missing" for row, name in sorted(missing.items())
        )
        return kept, tuple(said)

    def _refused(self, column: TableColumn, table: Table, path: Path) -> Exception:
        lines = [table.lines[row] for row in column.missing]
        message = f"{column.name} is missing in {lines_text(lines)} of {path}"
        if column.name in (self.label or ()):
            return data_error(message, fix='missing = "skip" leaves such records out')
        return data_error(
            message, fix='missing = "mean" or "median" fills it in, "skip" leaves such records out'
        )

    def _values(self, table: Table, e: Encoded, path: Path) -> NDArray[Any]:
        """A column as numbers [n, k], NaN in records that are left out."""
        column = table.columns[e.name]
        if e.categories is None:
            if column.texts:
                odd = next(iter(column.names))
                raise data_error(
                    f"{path} has {brief(odd)} in {e.name}, a column of numbers in the training set"
                )
            values = np.array(column.values)
            large = np.flatnonzero(np.abs(values) > FLOAT_MAX)
            if large.size:
                at = f"line {table.lines[large[0]]} of {path} has {values[large[0]]:g} in {e.name}"
                raise data_error(f"{at}: too large for a number in float32")
            return np.where(np.isnan(values), math.nan if e.fill is None else e.fill, values)[:, None]
        codes = column.codes(e.categories, table.lines, str(path))
        codes = codes if e.fill is None else np.where(codes < 0, int(e.fill), codes)
        if (self._train or self).encode == "number":
            return codes[:, None].astype(np.float64)
        return np.asarray(codes[:, None] == np.arange(len(e.categories)), np.float64)

    def _labels(
        self, table: Table, labels: Sequence[Encoded], kept: NDArray[np.int64], path: Path
    ) -> tuple[Column, str]:
        """The column of labels, and what it is in words."""
        if len(labels) > 1 and any(e.categories for e in labels):
            names = [e.name for e in labels if e.categories]
            raise data_error(f"label has several columns, which hold numbers; {names[0]} holds texts")
        first = labels[0]
        if first.categories is not None:
            return class_labels(table.columns[first.name], first.categories, kept, table.lines, str(path))
        numbers = np.concatenate([self._values(table, e, path) for e in labels], axis=1)[kept]
        return number_labels(numbers if len(labels) > 1 else numbers[:, 0], ", ".join(e.name for e in labels))

    def _filled(self, table: Table, features: Sequence[Encoded]) -> list[str]:
        """What was filled in, in words."""
        found = []
        for e in features:
            missing = table.columns[e.name].missing
            if missing and e.fill is not None:
                value = f"{e.fill:g}" if e.categories is None else e.categories[int(e.fill)]
                lines = lines_text([table.lines[row] for row in missing])
                found.append(f"{e.name} is missing in {lines}: filled with {value}")
        return found


@lru_cache(maxsize=4)
def _read(path: Path, form: Form, texts: frozenset[str], decimal: str, size: int, changed: int) -> Table:
    """The table of a file, read once for each state of the file; the columns `texts` are no numbers."""
    with open_records(path, form) as records:
        columns = {name: TableColumn(name, True if name in texts else None) for name in records.names}
        fields, lines = list(columns.values()), list[int]()
        for line, row in records.rows:
            lines.append(line)
            for column, text in zip(fields, row, strict=True):
                column.add(text, line, decimal)
    return Table(columns, lines)


def _names(setting: str, value: object) -> tuple[str, ...] | None:
    """Names of columns: one, or a list of them. Errors: NetError that begins with the setting."""
    listed_ = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if setting == "columns" and value is not None and not listed_:
        raise data_error("columns names no column", fix="without it, all but the label are taken")
    for name in listed_:
        if not isinstance(name, str):
            raise data_error(
                f"{setting} is the name of a column, or a list of names, not {brief(shown(value))}",
                fix=in_quotes(value),
            )
    return tuple(listed_) or (None if setting in ("label", "columns") else ())


def _labelled(features: Sequence[Encoded], encode: str) -> list[str]:
    """The columns by name, those of categories with how many there are."""
    return [
        e.name if e.categories is None or encode == "number" else f"{e.name}: {len(e.categories)}"
        for e in features
    ]


def _check_kind(column: TableColumn, path: Path) -> None:
    """Check that a column of numbers holds nothing else. Errors: NetError that names the line."""
    if column.odd is not None:
        line, text = column.odd
        message = f"line {line} of {path} has {brief(text)} in {column.name}, a column of numbers"
        fix = f'categories = ["{column.name}"] takes all of its values as names'
        raise data_error(message, fix=f'decimal = "," may be it, or {fix}' if "," in text else fix)


def _check_decimal(column: TableColumn, path: Path, other: str) -> None:
    """Check that texts are no numbers with the other decimal sign. Errors: NetError."""
    found = column.decimal(other) if column.texts else None
    if found is not None:
        sign = "comma" if other == "," else "point"
        raise data_error(
            f"{column.name} of {path} holds numbers with a decimal {sign}, such as {brief(found)}",
            fix=f'decimal = "{other}" reads them, categories = ["{column.name}"] takes them as names',
        )


def _without(name: str) -> str:
    return f'without = ["{name}"] leaves it out'
