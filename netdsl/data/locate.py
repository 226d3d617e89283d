"""Finding a known data set in local folders and checking that its files are the right ones."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netdsl.data.errors import data_error
from netdsl.data.registry import Content, Known, known
from netdsl.data.stream import open_stream
from netdsl.files import user_cache
from netdsl.source import counted


@dataclass(frozen=True)
class Located:
    """A folder with all files of a data set (not yet checked), each as it is there: plain or with .gz."""

    folder: Path
    paths: dict[str, Path]


def data_folders(folder: Path | None = None) -> list[Path]:
    """The folders of data sets, in order: the given one alone, or $NETDSL_DATA_DIR, ./data and the cache."""
    if folder is not None:
        return [folder]
    chosen = os.environ.get("NETDSL_DATA_DIR")
    folders = [*([Path(chosen).expanduser()] if chosen else []), Path("data")]
    with contextlib.suppress(FileNotFoundError):  # a user without a home
        folders.append(user_cache() / "data")
    return folders


def candidates(dataset: Known, folder: Path | None = None) -> Iterator[Path]:
    """Every folder where `dataset` is looked for, in order."""
    for base in data_folders(folder):
        yield from (base / name for name in dataset.folders)
    if folder is None:
        yield from (Path(place) for place in dataset.places)


def locate(dataset: Known, folder: Path | None = None) -> Located | None:
    """The first folder that has every file of `dataset`, or None. Contents are checked by `read_content`."""
    for place in candidates(dataset, folder):
        paths = {content.name: _plain_or_gz(place / content.name) for content in dataset.contents}
        if all(path is not None for path in paths.values()):
            return Located(place, {name: path for name, path in paths.items() if path is not None})
    return None


def located(dataset: Known, folder: Path | None = None) -> Located:
    """The folder of a data set that must be there. Errors: NetError says how to get it."""
    found = locate(dataset, folder)
    if found is None:
        looked = ", ".join(str(place) for place in candidates(dataset, folder))
        raise data_error(
            f"{dataset.name} is not on this machine",
            f"looked in {looked}",
            fix=f"run: netdsl data get {dataset.name}",
        )
    return found


def check_present(name: str, folder: Path | None = None) -> None:
    """Check that a known data set is on this machine; no content is read. Errors: NetError says how to get it."""
    dataset = known(name)
    if dataset.format != "npz":
        located(dataset, folder)


def read_content(content: Content, path: Path) -> bytes:
    """Read a file, gzip taken off, never more than it should hold, and check its SHA-256.

    Errors: NetError when it cannot be read, has another size or another checksum.
    """
    fix = f"delete or replace {path}"
    with open_stream(path) as stream:
        if stream.exact and stream.size != content.size:
            raise data_error(
                f"{path} has {counted(stream.size, 'byte')}, {content.name} has {content.size:,}", fix=fix
            )
        data = bytearray(content.size)
        stream.fill(memoryview(data))
        if stream.file.read(1):
            raise data_error(
                f"{path} unpacks to more than the {content.size:,} bytes of {content.name}", fix=fix
            )
    check_content(content, data, str(path))
    return bytes(data)


def check_content(content: Content, data: bytes | bytearray, where: str) -> None:
    """Compare `data`, which came from `where`, with what `content` must be. Errors: NetError."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != content.sha256:
        raise data_error(
            f"{where} is not the known {content.name}",
            f"its SHA-256 is {digest}",
            f"it should be {content.sha256}",
            fix=f"delete or replace {where}",
        )


def _plain_or_gz(path: Path) -> Path | None:
    packed = path.with_name(path.name + ".gz")
    return path if path.is_file() else packed if packed.is_file() else None
