"""`folder("pics/train")`: pictures, one folder for each class."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

from netdsl.data.dataset import IMAGE, Split
from netdsl.data.named import check_name
from netdsl.data.outline import Outline, outline_of
from netdsl.data.own.folders import Labelled, files_by_class, labelled_split
from netdsl.data.own.pictures import check_channels_wanted, look_at_pictures
from netdsl.data.own.scan import check_broken
from netdsl.data.picture import is_picture


@dataclass(frozen=True)
class Folder:
    """`folder("pics/train")`: pictures, one folder for each class; the sorted names of these are the classes.

    channels: 1, 3 or 4; by default grey where all pictures are, else colours. broken: "refuse" or "skip" pictures
    that cannot be read; with "skip" all are decoded once before training.
    """

    folder: str
    channels: int | None = None
    broken: str = "refuse"
    _train: Folder | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name("folder", self.folder, "a folder")
        check_channels_wanted(self.channels)
        check_broken(self.broken)

    def follow(self, train: object) -> Folder:
        """This source with the numbers that the classes have in the training set."""
        if not isinstance(train, Folder):
            return self
        following = copy.copy(self)
        object.__setattr__(following, "_train", train)
        return following

    def load(self, base: Path) -> Split:
        """Look at every picture; they are decoded when a batch needs them."""
        return self._split(base, decode=True)

    def outline(self, base: Path) -> Outline:
        """Look at the headers."""
        return outline_of(self._split(base, decode=False))

    def _found(self, base: Path) -> Labelled:
        known = None if self._train is None else self._train._found(base).classes
        return files_by_class(base / self.folder, is_picture, "picture", known or None)

    def _split(self, base: Path, decode: bool) -> Split:
        found, where = self._found(base), self.folder
        channels = self.channels if self._train is None else self.channels or self._train.channels
        pictures, scanned = look_at_pictures(found.files, channels, self.broken, where, decode)
        return labelled_split({IMAGE: pictures.column}, found, scanned, "picture", where, str(pictures))
