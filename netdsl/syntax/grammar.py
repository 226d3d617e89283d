"""The grammars shipped with the package, and the parse table made of the language's own."""

import functools
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from netdsl.syntax.table import Table, table_of


def grammar_text(name: str) -> str:
    """The text of a grammar such as `netdsl.lark`.

    A wheel carries the grammars inside the package; in a checkout they stand in `grammar/` beside it.
    """
    shipped: Traversable = resources.files("netdsl").joinpath("_grammar")
    folder = shipped if shipped.is_dir() else Path(__file__).parents[2] / "grammar"
    return folder.joinpath(name).read_text(encoding="utf-8")


@functools.cache
def language_table() -> Table:
    """The parse table of `.net` files, read or made once per process."""
    return table_of(grammar_text("netdsl.lark"))
