"""What the steps of preprocessing have in common."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, ClassVar

from netdsl.elaborate.values import shown


class Named:
    """A frozen dataclass that a file names, with its settings."""

    name: ClassVar[str]

    def __str__(self) -> str:
        """As a file has it: what must be given, and what is not as usual."""
        given: list[str] = []
        for f in fields(self):  # type: ignore[arg-type]  # every step is a dataclass
            value = getattr(self, f.name)
            if f.default is MISSING or (f.name == "width" and value is not None):
                given.append(_word(value))
            elif value != f.default:
                given.append(f"{f.name} = {_word(value)}")
        return f"{self.name}({', '.join(given)})" if given else self.name


def _word(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
