"""The grammars shipped with the package, and the parsers that Lark makes of them, kept on disk.

Lark takes 0.14 s to make the tables of the language and 0.005 s to load them.  A wheel carries them, made by the Lark
of its build; those of another Lark are kept in the user's cache.  They are what `Lark.save` writes: a pickle, but one
of numbers, texts and containers alone.  One that names anything else, which could run code, is refused before Lark
sees it.
"""

import functools
import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import lark

from netdsl.cache import Cache

CACHE = Cache("syntax")


PACKAGE = Path(__file__).parents[1]
SHIPPED = PACKAGE / "_grammar"
"""Where a wheel carries the grammars, and tables by key; a checkout has `grammar/` beside the package instead."""


@dataclass(frozen=True)
class Grammar:
    """A file of a grammar, and Lark's options for it by name."""

    file: str
    options: tuple[tuple[str, str | bool], ...]

    def text(self) -> str:
        """What the file says."""
        folder = SHIPPED if SHIPPED.is_dir() else PACKAGE.parent / "grammar"
        return (folder / self.file).read_text(encoding="utf-8")


LANGUAGE = Grammar("netdsl.lark", (("start", "file"), ("lexer", "basic")))
GRAPHS = Grammar("ir.lark", (("maybe_placeholders", False),))
"""Of `.net` files, and of graphs as text."""


def key_of(grammar: Grammar) -> str:
    """What the tables of a grammar are kept under: its text, Lark's version and options."""
    made_of = "\0".join([lark.__version__, repr(grammar.options), grammar.text()])
    return hashlib.sha256(made_of.encode()).hexdigest()


def table_of(grammar: Grammar) -> bytes:
    """The tables of a grammar, made anew."""
    options: Any = dict(grammar.options)
    saved = io.BytesIO()
    lark.Lark(grammar.text(), parser="lalr", propagate_positions=True, **options).save(saved)
    return saved.getvalue()


@functools.cache
def parser_of(grammar: Grammar) -> lark.Lark:
    """Lark's LALR(1) parser of a grammar: of the tables in the wheel or those kept for the user, else made."""
    key = key_of(grammar)
    for kept in (_shipped, CACHE.load):
        table = kept(key)
        loaded = _loaded(table) if table is not None else None
        if loaded is not None:
            return loaded
    made = table_of(grammar)
    CACHE.store(key, made)
    return lark.Lark.load(io.BytesIO(made))


def _shipped(key: str) -> bytes | None:
    """The tables in the wheel; None where it was built with another Lark, or is no wheel."""
    path = SHIPPED / key
    return path.read_bytes() if path.is_file() else None


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
