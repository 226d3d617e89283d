"""Puts the tables of the parser into wheels, so that the first `netdsl` of a user need not make them."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TableHook(BuildHookInterface[Any]):
    """Called by hatchling; Lark is among the requirements of the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """A checkout, which is installed to be edited, keeps them in the user's cache instead."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from netdsl.syntax.grammar import LANGUAGE, key_of, table_of

        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "table"
        path.write_bytes(table_of(LANGUAGE))
        build_data["force_include"][str(path)] = f"netdsl/_grammar/{key_of(LANGUAGE)}"
