"""Packages and tables whose names are imported on first use: a command does not wait for what it does not need."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def lazy(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package that imports its names for type checkers alone.

    The one list of names is what the `if TYPE_CHECKING:` of its `file` imports.
    """
    homes = public_names(Path(file))

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package} has no attribute {name}")
        return getattr(importlib.import_module(homes[name]), name)

    return get, lambda: sorted(homes), sorted(homes)


#: to parse the file would take as long as what waits for first use
_NAME = re.compile(r"^    from (\S+) import (\w+) as \2\b", re.MULTILINE)


def public_names(file: Path) -> dict[str, str]:
    """What the `if TYPE_CHECKING:` of a package imports, one name a line, and the modules that each is from."""
    return {name: module for module, name in _NAME.findall(file.read_text("utf-8"))}


class Table(Mapping[str, T], Generic[T]):
    """Things by name, each given as itself or as `"module:Name"`, which is imported when it is asked for."""

    def __init__(self, entries: Mapping[str, T | str]) -> None:
        self._entries: dict[str, Any] = dict(entries)

    def __getitem__(self, name: str) -> T:
        entry = self._entries[name]
        if isinstance(entry, str) and ":" in entry:
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(importlib.import_module(module), attribute)
        found: T = entry
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __or__(self, other: Mapping[str, Any]) -> Table[Any]:
        """Both, where nothing is imported."""
        return Table(self._entries | (other._entries if isinstance(other, Table) else dict(other)))
