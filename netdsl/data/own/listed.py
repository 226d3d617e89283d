"""`images("list.csv")`: pictures and their labels from a list."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath

from netdsl.arrays import np
from netdsl.data.dataset import IMAGE, LABEL, Split
from netdsl.data.errors import data_error
from netdsl.data.named import check_name
from netdsl.data.own.fields import TableColumn, lines_text
from netdsl.data.own.labels import class_labels, number_labels
from netdsl.data.own.pictures import check_channels_wanted, look_at_pictures
from netdsl.data.own.records import Form, column_of, open_records
from netdsl.data.own.scan import check_broken
from netdsl.data.own.source import FileSource
from netdsl.data.reading import ListReading, Reading
from netdsl.elaborate.values import shown
from netdsl.source import brief, counted


@dataclass(frozen=True)
class Images(FileSource):
    """`images("list.csv")`: pictures of a list, a CSV file with a column of paths that start from its folder.

    path, label: the names of the columns; without a column of labels the set has none. Labels that are texts are
    classes, numbers stay numbers. channels, broken: as in `folder`. outside: whether paths may leave the folder of
    the list. separator, encoding, header: how the list is written.
    """

    file: str
    path: str = "path"
    label: str | None = None
    channels: int | None = None
    broken: str = "refuse"
    outside: bool = False
    separator: str | None = None
    encoding: str = "utf-8"
    header: bool = True

    def __post_init__(self) -> None:
        check_name("file", self.file, "a file")
        check_name("path", self.path, "a column")
        if self.label is not None:
            check_name("label", self.label, "a column")
        check_channels_wanted(self.channels)
        check_broken(self.broken)
        if not isinstance(self.outside, bool):
            raise data_error(f"outside is true or false, not {brief(shown(self.outside))}")
        self._form()

    def reading(self, base: Path) -> Reading:
        """How the list is written, and its column of paths."""
        form = self.separator, self.encoding, self.header
        return Reading(listed=ListReading(self.path, self.outside, *form))

    def _form(self) -> Form:
        return Form(self.separator, self.encoding, self.header)

    def _split(self, base: Path, decode: bool) -> Split:
        listed = self._list(base)
        files = [
            _place(base / self.file, text, line, self.outside)
            for text, line in zip(listed.paths, listed.lines, strict=True)
        ]
        channels = self.channels if self._train is None else self.channels or self._train.channels
        pictures, scanned = look_at_pictures(files, channels, self.broken, self.file, decode)
        columns, about = (
            {IMAGE: pictures.column},
            [f"{self.file}: {counted(len(scanned.kept), 'picture')}", str(pictures)],
        )
        if listed.labels is not None:
            kept, label = np.array(scanned.kept, np.int64), listed.labels
            if label.texts:
                classes = (self._train or self)._list(base).classes
                columns[LABEL], text = class_labels(label, classes, kept, listed.lines, str(base / self.file))
            else:
                columns[LABEL], text = number_labels(np.array(label.values)[kept], label.name)
            about.append(text)
        return Split(columns, ", ".join(about), scanned.skipped)

    def _list(self, base: Path) -> _List:
        path, train = base / self.file, None if self._train is None else self._train._list(base).labels
        texts = None if train is None else train.texts
        try:
            status = path.stat()
        except OSError:
            return _read(path, self, texts, 0, 0)  # which says what is wrong
        return _read(path, self, texts, status.st_size, status.st_mtime_ns)


def listed_pictures(path: Path, reading: ListReading) -> list[Path]:
    """The files of a list; labels, if it has some, are left alone. Errors: NetError."""
    form = Form(reading.separator, reading.encoding, reading.header)
    with open_records(path, form) as records:
        column = column_of(reading.path, records.names, path, "path")
        files = [_place(path, row[column], line, reading.outside) for line, row in records.rows]
    if not files:
        raise data_error(f"there are no pictures in {path}")
    return files


def _place(file: Path, text: str, line: int, outside: bool) -> Path:
    """The file of a picture of a list. Errors: NetError for a path that leaves its folder, unless it may."""
    text = text.strip().replace("\\", "/") if os.sep == "/" else text.strip()
    inside = os.path.normpath(text)
    leaves = Path(text).is_absolute() or PureWindowsPath(text).drive or Path(inside).parts[:1] == ("..",)
    if not text or "\0" in text or (leaves and not outside):
        message = f"line {line} of {file} has the path {brief(text) or 'of nothing'}"
        allowed = text and "\0" not in text
        fix = "outside = true allows paths that leave the folder of the list" if allowed else None
        raise data_error(message + (", which leaves the folder of the list" if leaves else ""), fix=fix)
    return file.parent / text


@dataclass(frozen=True, eq=False)
class _List:
    """The paths and the labels of a list, and the lines where they stand."""

    paths: list[str]
    lines: list[int]
    labels: TableColumn | None

    @property
    def classes(self) -> tuple[str, ...]:
        return () if self.labels is None else self.labels.sorted_names()


@lru_cache(maxsize=4)
def _read(path: Path, source: Images, texts: bool | None, size: int, changed: int) -> _List:
    """A list, read once for each state of the file; `texts` says whether labels are classes, where that is known."""
    paths, lines = list[str](), list[int]()
    with open_records(path, source._form()) as records:
        first = column_of(source.path, records.names, path, "path")
        name = source.label or ("label" if "label" in records.names else None)
        second = None if name is None else column_of(name, records.names, path, "label")
        labels = None if name is None else TableColumn(name, texts)
        for line, row in records.rows:
            paths.append(row[first])
            lines.append(line)
            if labels is not None and second is not None:
                labels.add(row[second], line, ".")
    if not paths:
        raise data_error(f"there are no pictures in {path}")
    if labels is not None:
        _check_labels(labels, lines, path)
    return _List(paths, lines, labels)


def _check_labels(labels: TableColumn, lines: list[int], path: Path) -> None:
    if labels.missing:
        raise data_error(
            f"{labels.name} is missing in {lines_text([lines[k] for k in labels.missing])} of {path}"
        )
    if labels.odd is not None:
        raise data_error(
            f"line {labels.odd[0]} of {path} has {brief(labels.odd[1])} in {labels.name}, a column of numbers"
        )
