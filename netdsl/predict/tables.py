"""The records of tables as samples: the columns and the categories are those of the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data import Preparation
from netdsl.data.errors import data_error
from netdsl.data.own.fields import as_number
from netdsl.data.own.records import Form, is_missing, open_records
from netdsl.data.reading import Encoded, TableReading
from netdsl.source import Diagnostic, NetError, brief, suggest

Array = NDArray[Any]


class Tables:
    """A sample for each record; one that has no value, or another one than the training knew, is left out."""

    def __init__(
        self,
        files: Sequence[Path],
        name: str,
        wanted: tuple[int, ...],
        prepared: Preparation,
        reading: TableReading,
    ) -> None:
        self._name, self._wanted, self._preparation = name, wanted, prepared
        self.problems: list[Diagnostic] = []
        self._rows: list[list[float]] = []
        self._titles: list[str] = []
        self._notes: list[tuple[str, ...]] = []
        for path in files:
            self._read(path, reading)

    def __len__(self) -> int:
        """How many records are taken."""
        return len(self._rows)

    def title(self, number: int) -> str:
        """The file and the line."""
        return self._titles[number]

    def notes(self, number: int) -> tuple[str, ...]:
        """What was filled in."""
        return self._notes[number]

    def batches(self, size: int) -> Iterator[Mapping[str, Array]]:
        """The records, normalised."""
        if not self._rows:
            raise NetError(*self.problems)
        for start in range(0, len(self), size):
            part = np.array(self._rows[start : start + size], np.float32)
            rows = self._preparation.normalization(part)
            yield {self._name: rows.reshape(len(rows), *self._wanted)}

    def _read(self, path: Path, reading: TableReading) -> None:
        with open_records(path, Form(reading.separator, reading.encoding, reading.header)) as records:
            names = records.names if reading.header else _numbered(records.names, reading)
            places = [_place(e, names, path) for e in reading.columns]
            before = len(self._rows) + len(self.problems)
            for line, fields in records.rows:
                where = f"line {line} of {path}"
                try:
                    row, filled = _encoded([fields[k] for k in places], where, reading)
                except NetError as error:
                    self.problems += error.diagnostics
                    continue
                self._rows.append(row)
                self._titles.append(f"{path} line {line}")
                self._notes.append(filled)
            if len(self._rows) + len(self.problems) == before:
                raise data_error(f"there are no records in {path}")


def _numbered(names: Sequence[str], reading: TableReading) -> Sequence[str]:
    """The names of columns that have none in the file: all, or all but the labels."""
    without = [name for name in reading.names if name not in reading.labels]
    return without if len(names) == len(without) else names


def _place(e: Encoded, names: Sequence[str], path: Path) -> int:
    """The number of a column in a table."""
    if e.name not in names:
        near = suggest(e.name, names)
        fix = f"did you mean {near}?" if near else f"its columns: {', '.join(names[:20])}"
        raise data_error(f"{path} has no column {e.name}, which the network was trained on", fix=fix)
    return names.index(e.name)


def _encoded(texts: Sequence[str], where: str, reading: TableReading) -> tuple[list[float], tuple[str, ...]]:
    """The numbers of a record, and what was filled in. Errors: NetError for a field that cannot be one."""
    row, filled = list[float](), list[str]()
    for e, text in zip(reading.columns, texts, strict=True):
        if is_missing(text):
            if e.fill is None:
                fix = 'a network that is trained with missing = "mean" or "median" fills it in'
                raise data_error(f"{e.name} is missing in {where}", fix=fix)
            value = e.fill
            said = f"{e.fill:g}" if e.categories is None else e.categories[int(e.fill)]
            filled.append(f"{e.name} is missing: filled with {said}")
        else:
            value = _number(e, text.strip(), where, reading)
        if e.categories is None or reading.encode == "number":
            row.append(value)
        else:
            row += [float(k == value) for k in range(len(e.categories))]
    return row, tuple(filled)


def _number(e: Encoded, text: str, where: str, reading: TableReading) -> float:
    """The number that a field is, or that of its category."""
    if e.categories is not None:
        if text not in e.categories:
            near = suggest(text, e.categories)
            known = f"it had {', '.join(e.categories[:8])}" + (" and more" if len(e.categories) > 8 else "")
            message = f"{where} has {brief(text)} in {e.name}, which the training set had not"
            raise data_error(message, fix=f"did you mean {near}?" if near else known)
        return e.categories.index(text)
    number = as_number(text, reading.decimal)
    if number is None:
        raise data_error(f"{where} has {brief(text)} in {e.name}, a column of numbers")
    return number
