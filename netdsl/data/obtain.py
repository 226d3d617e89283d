"""`netdsl data list` and `netdsl data get`: list the known data sets, find or download them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netdsl.data.download import Progress, download
from netdsl.data.errors import data_error
from netdsl.data.locate import candidates, data_folders, locate, read_content
from netdsl.data.registry import DATASETS, Known, known
from netdsl.data.stream import reading
from netdsl.data.unpack import convert_png, unpack_archive, unpack_gz
from netdsl.files import private_directory, user_cache
from netdsl.source import NetError


@dataclass(frozen=True)
class Entry:
    """A line of `netdsl data list`: a known data set and the folder where it is, None when not here."""

    dataset: Known
    folder: Path | None


@dataclass(frozen=True)
class Got:
    """What `get` did: the data set was `embedded` or `present`, or is `unpacked` or `downloaded`."""

    name: str
    folder: Path | None
    action: Literal["embedded", "present", "unpacked", "downloaded"]


def list_datasets(folder: Path | None = None) -> list[Entry]:
    """All known data sets and where they are; files are found by name, their contents are not read."""
    found = ((dataset, locate(dataset, folder)) for dataset in DATASETS.values())
    return [Entry(dataset, place.folder if place else None) for dataset, place in found]


def get(name: str, folder: Path | None = None, progress: Progress | None = None) -> Got:
    """Make a known data set available and check every file of it.

    Looks in local folders (`folder` alone when given), also for the published archive and for PNG forms,
    which are unpacked; else downloads over https. New files go to `folder`, else $NETDSL_DATA_DIR, else the
    user's cache. Errors: NetError for an unknown name, wrong files, a folder that cannot be written, and when
    no mirror can be reached: then it says which files to put where.
    """
    dataset = known(name)
    if dataset.format == "npz":
        return Got(name, None, "embedded")
    found = locate(dataset, folder)
    if found is not None:
        for content in dataset.contents:
            read_content(content, found.paths[content.name])
        return Got(name, found.folder, "present")
    target = _target(dataset, folder)
    if _unpack_local(dataset, folder, target):
        return Got(name, target, "unpacked")
    _download(dataset, target, progress)
    return Got(name, target, "downloaded")


def _target(dataset: Known, folder: Path | None) -> Path:
    """The folder for new files, made when not there."""
    base = folder or (data_folders()[0] if os.environ.get("NETDSL_DATA_DIR") else None)
    try:
        if base is None:
            return private_directory(user_cache() / "data" / dataset.name)
        target = base / dataset.name
        target.mkdir(parents=True, exist_ok=True)
        return target
    except OSError as error:
        fix = "set NETDSL_DATA_DIR to a folder of your own"
        raise data_error(
            f"there is no place to put {dataset.name}: {error.strerror or error}", fix=fix
        ) from error


def _unpack_local(dataset: Known, folder: Path | None, target: Path) -> bool:
    """Use the published archive or the PNG form where a local folder has one."""
    places = [*data_folders(folder), *candidates(dataset, folder)]
    if dataset.archive is not None:
        for path in (place / dataset.archive.name for place in places):
            if path.is_file():
                unpack_archive(dataset, dataset.archive, path, target)
                return True
    if dataset.format == "cifar":
        for place in places:
            if (place / "test_batch.png").is_file():
                convert_png(dataset, place, target)
                return True
    return False


def _download(dataset: Known, target: Path, progress: Progress | None) -> None:
    """Fetch what is published, from the first mirror that has the right files."""
    reasons: list[str] = []
    for mirror in dataset.mirrors:
        try:
            with reading(target), tempfile.TemporaryDirectory(dir=target, prefix=".download-") as folder:
                _fetch(dataset, mirror, Path(folder), target, progress)
            return
        except NetError as error:
            reasons += [
                note for d in error.diagnostics for note in (d.message, *(n.message for n in d.notes))
            ]
    addresses = " or ".join(dataset.mirrors)
    raise data_error(
        f"cannot get {dataset.name}",
        *reasons,
        fix=f"without a network, put {', '.join(dataset.published)} (published at {addresses}) into {target}"
        + ("" if dataset.archive is None else f", then run: netdsl data get {dataset.name}"),
    )


def _fetch(dataset: Known, mirror: str, folder: Path, target: Path, progress: Progress | None) -> None:
    if dataset.archive is not None:
        packed = folder / dataset.archive.name
        download(mirror + packed.name, packed, dataset.archive.size, progress)
        unpack_archive(dataset, dataset.archive, packed, target)
        return
    for content in dataset.contents:
        packed = folder / f"{content.name}.gz"
        # A gzip file is at most a little larger than what it holds.
        download(mirror + packed.name, packed, content.size + content.size // 1000 + 1000, progress)
        unpack_gz(content, packed, target)
