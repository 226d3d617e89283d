"""Parse tables on disk: making one from the grammar takes 0.14 s, reading it 0.02 s.

Lark can keep tables itself, but as pickles, which run code when they are read.  Here they are JSON, in the form in
which Lark's stand-alone parsers carry them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from netdsl.files import atomic_write, private_directory, user_cache

_PAIRS = "pairs"  # JSON has no objects with numbers as keys


def load_parser(name: str) -> Lark | None:
    """The parser stored under a name, or None; a table that was damaged is deleted."""
    folder = _folder()
    if folder is None:
        return None
    path = folder / f"{name}.json"
    try:
        data, memo = json.loads(path.read_bytes(), object_hook=_decoded)
    except FileNotFoundError:
        return None
    except ValueError:
        path.unlink(missing_ok=True)
        return None
    parser: Lark = Lark._load_from_dict(data, memo)  # type: ignore[no-untyped-call]
    return parser


def store_parser(name: str, parser: Lark) -> None:
    """Keep the table of a parser under a name."""
    folder = _folder()
    if folder is not None:
        # What Lark.save would pickle.
        data = parser.memo_serialize([TerminalDef, Rule])
        atomic_write(folder / f"{name}.json", json.dumps(_encoded(data)).encode(), private=True)


def _folder() -> Path | None:
    """The folder of tables; None where the user has no home to write to, which costs nothing but time."""
    try:
        return private_directory(user_cache() / "syntax")
    except OSError:
        return None


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        items = {k: _encoded(v) for k, v in value.items()}
        return items if all(isinstance(k, str) for k in items) else {_PAIRS: list(items.items())}
    return [_encoded(v) for v in value] if isinstance(value, (list, tuple)) else value


def _decoded(value: dict[str, Any]) -> dict[Any, Any]:
    return dict(value[_PAIRS]) if value.keys() == {_PAIRS} else value
