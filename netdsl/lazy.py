"""Packages whose names are imported on first use, so that a command does not wait for imports it does not need."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


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


def public_names(file: Path) -> dict[str, str]:
    """The names that the `if TYPE_CHECKING:` of a package imports, and the modules that they come from."""
    guards = [n for n in ast.parse(file.read_text("utf-8")).body if isinstance(n, ast.If)]
    imports = [n for guard in guards for n in guard.body if isinstance(n, ast.ImportFrom)]
    return {alias.name: str(n.module) for n in imports for alias in n.names}
