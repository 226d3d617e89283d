"""The grammars shipped with the package, and the parsers that Lark makes of them, kept on disk.

Lark takes 0.14 s to make the tables of the language and 0.005 s to load them.  What is kept is what `Lark.save`
writes: a pickle, but one of numbers, texts and containers alone.  One that names anything else, which could run code,
is refused before Lark sees it.
"""

import functools
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

import lark

from netdsl.cache import Cache

CACHE = Cache("syntax")


def grammar_text(name: str) -> str:
    """The text of a grammar such as `netdsl.lark`.

    A wheel carries the grammars inside the package; in a checkout they stand in `grammar/` beside it.
    """
    package = Path(__file__).parents[1]
    shipped = package / "_grammar"
    folder = shipped if shipped.is_dir() else package.parent / "grammar"
    return (folder / name).read_text(encoding="utf-8")


@functools.cache
def parser_of(name: str, **options: Any) -> lark.Lark:
    """Lark's LALR(1) parser of a grammar, with Lark's `options`; loaded or made once per process."""
    grammar = grammar_text(name)
    made_of = "\0".join([lark.__version__, repr(options), grammar])
    key = hashlib.sha256(made_of.encode()).hexdigest()
    kept = CACHE.load(key)
    loaded = _loaded(kept) if kept is not None else None
    if loaded is not None:
        return loaded
    parser = lark.Lark(grammar, parser="lalr", propagate_positions=True, **options)
    saved = io.BytesIO()
    parser.save(saved)
    CACHE.store(key, saved.getvalue())
    return parser


def _loaded(kept: bytes) -> lark.Lark | None:
    """The parser that is kept; None for anything else, in the place of which it is made again."""
    try:
        _Plain(io.BytesIO(kept)).load()
        return lark.Lark.load(io.BytesIO(kept))
    except Exception:  # bytes that are no such pickle raise errors of many kinds
        return None


class _Plain(pickle.Unpickler):
    """Reads plain data; classes and functions are refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Raise UnpicklingError for whatever is named."""
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")
