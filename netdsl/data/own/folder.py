"""`folder("pics/train")`: pictures, one folder for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netdsl.data.dataset import IMAGE, Split
from netdsl.data.named import check_name
from netdsl.data.own.folders import Labelled, files_by_class, labelled_split
from netdsl.data.own.pictures import check_channels_wanted, look_at_pictures
from netdsl.data.own.scan import check_broken
from netdsl.data.own.source import FileSource
from netdsl.data.picture import is_picture


@dataclass(frozen=True)
class Folder(FileSource):
    """`folder("pics/train")`: pictures, one folder for each class; the sorted names of these are the classes.

    channels: 1, 3 or 4; by default grey where all pictures are, else colours. broken: "refuse" or "skip" pictures
    that cannot be read; with "skip" all are decoded once before training.
    """

    folder: str
    channels: int | None = None
    broken: str = "refuse"

    def __post_init__(self) -> None:
        check_name("folder", self.folder, "a folder")
        check_channels_wanted(self.channels)
        check_broken(self.broken)

    def _found(self, base: Path) -> Labelled:
        known = None if self._train is None else self._train._found(base).classes
        return files_by_class(base / self.folder, is_picture, "picture", known or None)

    def _split(self, base: Path, decode: bool) -> Split:
        found, where = self._found(base), self.folder
        channels = self.channels if self._train is None else self.channels or self._train.channels
        pictures, scanned = look_at_pictures(found.files, channels, self.broken, where, decode)
        return labelled_split({IMAGE: pictures.column}, found, scanned, "picture", where, str(pictures))
