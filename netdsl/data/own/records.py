"""The records of a CSV file, with the lines where they stand."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from netdsl.data.errors import data_error
from netdsl.data.stream import reading
from netdsl.elaborate.values import shown
from netdsl.filetype import HEAD, content, not_wanted, open_file
from netdsl.source import brief, counted, suggest

SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252")
MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "none")
"""What stands for a value that is not there, spaces around it left out."""
_MOST_COLUMNS = 100_000


@dataclass(frozen=True)
class Form:
    """How a file is written: `separator` None is found, the one that parts the first line into most fields."""

    separator: str | None = None
    encoding: str = "utf-8"
    header: bool = True

    def __post_init__(self) -> None:
        one = isinstance(self.separator, str) and len(self.separator) == 1 and self.separator not in '"\r\n'
        if self.separator is not None and not one:
            raise data_error(f'separator is one character, such as ";", not {brief(shown(self.separator))}')
        if self.encoding not in ENCODINGS:
            raise data_error(f"encoding is one of {', '.join(ENCODINGS)}, not {brief(shown(self.encoding))}")
        if not isinstance(self.header, bool):
            raise data_error(f"header is true or false, not {brief(shown(self.header))}")


@dataclass(frozen=True)
class Records:
    """The names of the columns, and an iterator of records: the line where each ends, and its fields."""

    names: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]


@contextmanager
def open_records(path: Path, form: Form) -> Iterator[Records]:
    """Open a CSV file; quotes are those of the standard library's csv module, a byte order mark is taken off.

    Columns without a header are called "1", "2" and so on. Errors: NetError, here and while it is read, for a file
    that is no text or has records of different lengths.
    """
    with reading(path), open_file(path, "data", "a table (.csv)") as file:
        found = content(file.peek(HEAD))
        text = found in ("a text", "a network's text (.net)") or form.encoding != "utf-8"
        if not text and "binary" not in found:
            raise not_wanted(path, "data", found, "a table (.csv)")
        encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
        with TextIOWrapper(file, encoding, newline="") as lines:
            try:
                yield _records(path, lines, form)
            except UnicodeError as error:
                fix = 'encoding = "latin-1" or "utf-16" may be it' if form.encoding == "utf-8" else None
                raise data_error(f"{path} is not {form.encoding} text: {error}", fix=fix) from error
            except csv.Error as error:
                raise data_error(f"{path} is no table that can be read: {error}") from error


def _records(path: Path, lines: TextIO, form: Form) -> Records:
    start = lines.tell()
    first = lines.readline(2**20)
    lines.seek(start)
    separator = form.separator or max(
        SEPARATORS, key=lambda s: len(next(csv.reader([first], delimiter=s), []))
    )
    reader = csv.reader(lines, delimiter=separator, strict=True)
    head = next((row for row in reader if row), [])
    if not head:
        raise data_error(f"{path} is empty; a table begins with the names of its columns")
    if len(head) > _MOST_COLUMNS:
        raise data_error(f"{path} has {len(head):,} columns; the limit is {_MOST_COLUMNS:,}")
    names = tuple(map(str.strip, head)) if form.header else tuple(str(k + 1) for k in range(len(head)))
    _check_names(path, names)
    return Records(names, _rows(path, reader, len(head), [] if form.header else [(reader.line_num, head)]))


def _rows(
    path: Path, reader: Any, count: int, first: list[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield from first
    for row in reader:
        if len(row) != count and row:
            has = f"line {reader.line_num} of {path} has {counted(len(row), 'field')}, the first line {count}"
            raise data_error(has, fix="a field that holds the separator stands in quotes")
        if row:
            yield reader.line_num, row


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise data_error(f"{path} has two columns called {brief(twice[0])}")
    if "" in names and len(names) > 1:
        number = names.index("") + 1
        message = f"column {number} of {path} has no name: pandas writes the numbers of rows so"
        raise data_error(message, fix="leave it out when writing, with index=False")


def column_of(name: str, names: Sequence[str], path: Path, setting: str) -> int:
    """The number of a column by its name. Errors: NetError that begins with the setting that names it."""
    if name in names:
        return list(names).index(name)
    near = suggest(name, names)
    fix = f"did you mean {near}?" if near else f"its columns: {', '.join(names[:20])}"
    other = next((s for s in SEPARATORS if s in names[0]), None) if len(names) == 1 else None
    if other is not None:
        fix = f'the first line is one field, {brief(names[0])}: separator = "{other}" parts it'
    raise data_error(f"{setting} is {brief(shown(name))}, which is no column of {path}", fix=fix)


def is_missing(text: str) -> bool:
    """Whether a field stands for a value that is not there."""
    return text.strip() in MISSING
