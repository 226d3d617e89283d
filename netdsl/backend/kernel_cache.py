"""Which sources shape the kernels of a target, for the keys of its cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


class Sources:
    """The Python files of folders and of all folders below them, as they are when this is made: early."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        self.digest = _digest(self._roots)

    def unchanged(self) -> bool:
        """Whether the files are still what they were: else nobody knows which of them were loaded."""
        return _digest(self._roots) == self.digest


def _digest(roots: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            name, text = path.relative_to(root.parent).as_posix(), path.read_bytes()
            digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()
