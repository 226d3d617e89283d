"""The grammars shipped with the package, and the parser made of the language's own."""

import functools
import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import lark
from lark import Lark

from netdsl.syntax.table import load_parser, store_parser


def grammar_text(name: str) -> str:
    """The text of a grammar such as `netdsl.lark`.

    A wheel carries the grammars inside the package; in a checkout they stand in `grammar/` beside it.
    """
    shipped: Traversable = resources.files("netdsl").joinpath("_grammar")
    folder = shipped if shipped.is_dir() else Path(__file__).parents[2] / "grammar"
    return folder.joinpath(name).read_text(encoding="utf-8")


@functools.cache
def language_parser() -> Lark:
    """The parser of `.net` files, made once per process, from a table that is kept for the next one."""
    text = grammar_text("netdsl.lark")
    name = hashlib.sha256(f"{lark.__version__}\n{text}".encode()).hexdigest()
    parser = load_parser(name)
    if parser is None:
        parser = Lark(
            text,
            start="file",
            parser="lalr",
            lexer="contextual",
            propagate_positions=True,
            maybe_placeholders=True,
        )
        store_parser(name, parser)
    return parser
