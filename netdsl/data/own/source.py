"""What the sources of one's own files share: they follow the training set, and look at files before decoding them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from netdsl.data.dataset import Split
from netdsl.data.outline import Outline, outline_of


@dataclass(frozen=True)
class FollowingSource:
    """A source that finds out what its classes are, or is told those of the training set."""

    _train: Self | None = field(default=None, init=False, repr=False, compare=False)

    def follow(self, train: object) -> Self:
        """This source with the classes, and all else that it finds out, of a training set of its kind."""
        if not isinstance(train, type(self)):
            return self
        following = copy.copy(self)
        object.__setattr__(following, "_train", train)
        return following


@dataclass(frozen=True)
class FileSource(FollowingSource):
    """A source of files that are looked at first, and decoded when a batch needs them."""

    def load(self, base: Path) -> Split:
        """Look at every file; they are decoded when a batch needs them."""
        return self._split(base, decode=True)

    def outline(self, base: Path) -> Outline:
        """Look at the headers."""
        return outline_of(self._split(base, decode=False))

    def _split(self, base: Path, decode: bool) -> Split:
        raise NotImplementedError
