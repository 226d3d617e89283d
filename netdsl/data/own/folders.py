"""Folders of files, one folder for each class, and what such sources have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netdsl.arrays import np
from netdsl.data.column import Column, labels_of
from netdsl.data.dataset import LABEL, Split, check_classes
from netdsl.data.errors import data_error
from netdsl.data.own.scan import Scanned
from netdsl.data.pixels import look
from netdsl.data.stream import reading
from netdsl.source import counted, suggest

_LISTED = 8


@dataclass(frozen=True)
class Labelled:
    """Files, and of each the number of its class; without classes the set has no labels."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]


def files_by_class(
    folder: Path, fits: Callable[[Path], bool], noun: str, known: tuple[str, ...] | None = None
) -> Labelled:
    """The files of a folder that fit: one folder in it for each class, in the order of their names.

    Files of folders within a class belong to it; files and folders whose name begins with a dot are left alone. A
    folder that has such files itself, and no folders, is a set without labels. `known` are the classes of the
    training set. Errors: NetError for a folder that is neither.
    """
    with reading(folder, "folder"), os.scandir(folder) as entries:
        found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        classes = [e.name for e in found if e.is_dir()]
        loose = [Path(e.path) for e in found if e.is_file() and fits(Path(e.path))]
    if loose and classes:
        message = (
            f"{folder} has {counted(len(loose), noun)} beside the folders of classes, such as {loose[0].name}"
        )
        raise data_error(message, fix="every file belongs into the folder of its class")
    if loose:
        return Labelled(tuple(loose), (), ())
    if not classes:
        raise data_error(
            f"there are no {noun}s in {folder}", fix=f"it has one folder of {noun}s for each class"
        )
    check_classes(tuple(classes))
    inside = {name: files_in(folder / name, fits) for name in classes}
    for name, files in inside.items():
        if not files:
            raise data_error(f"there are no {noun}s in {folder / name}, the folder of a class")
    if len(classes) == 1 and known is None:
        message = f"{folder} has the folder of one class, {classes[0]}; there is nothing to tell apart"
        raise data_error(message, fix=f'"{folder / classes[0]}" itself is a set without labels')
    names = numbered(classes, known, str(folder))
    pairs = [(file, names[name]) for name, files in inside.items() for file in files]
    return Labelled(tuple(f for f, _ in pairs), tuple(n for _, n in pairs), known or tuple(classes))


def numbered(classes: Sequence[str], known: Sequence[str] | None, where: str) -> dict[str, int]:
    """The numbers of classes: in their order, or those that they have in the training set. Errors: NetError."""
    numbers = {name: number for number, name in enumerate(known or classes)}
    for name in classes:
        if name not in numbers:
            near = suggest(name, numbers)
            message = f"{where} has the class {name}, which the training set has not"
            raise data_error(
                message, fix=f"did you mean {near}?" if near else f"its classes: {listed(list(numbers))}"
            )
    return numbers


def files_in(folder: Path, fits: Callable[[Path], bool]) -> list[Path]:
    """The files of a folder and of those in it that fit, in the order of their paths; hidden ones are left alone."""
    with reading(folder, "folder"):
        return sorted(path for path in _walk(folder) if fits(path))


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def listed(names: Sequence[str]) -> str:
    """Names in a row, the first few of many."""
    more = [f"and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    return ", ".join([*names[:_LISTED], *more])


def labelled_split(
    samples: Mapping[str, Column], found: Labelled, scanned: Scanned[object], noun: str, where: str, form: str
) -> Split:
    """The split of the files that were kept; `form` says what a sample is."""
    columns, classes = dict(samples), found.classes
    about = [f"{where}: {counted(len(scanned.kept), noun)}", form]
    if classes:
        labels = np.array(scanned.of(found.labels), np.int64)
        columns[LABEL] = Column(labels_of(labels, classes), look(labels), classes)
        about.append(class_counts(labels.tolist(), classes))
    return Split(columns, ", ".join(about), scanned.skipped)


def class_counts(labels: Sequence[int], classes: Sequence[str]) -> str:
    """How many samples each class has, in words."""
    counts = np.bincount(np.array(labels, np.int64), minlength=len(classes)).tolist()
    of_each = [f"{name} {count:,}" for name, count in zip(classes, counts, strict=True)]
    return f"{counted(len(classes), 'class')} ({listed(of_each)})"
