"""Lexemes to Lark's tree: its LALR(1) parser, fed one by one, since what a word is depends on where it stands."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from lark import Lark, Token, Tree, UnexpectedToken

from netdsl.syntax.grammar import LANGUAGE, parser_of
from netdsl.syntax.scan import Lexeme

_KINDS = {"word": "NAME", "number": "NUMBER", "string": "STRING", "newline": "_NL", "end": "$END"}
#: words of the grammar that are names wherever it does not expect them
_NAMES_TOO = frozenset(["as", "where", "preset", "data", "train", "eval", "expect"])


class Unexpected(Exception):
    """A lexeme where it cannot stand: the terminal it was taken for, the lexeme before, the terminals that can.

    Terminals are written as in the source (`->`, `net`), or are NAME, NUMBER, STRING, _NL and $END.
    """

    def __init__(self, lexeme: Lexeme, terminal: str, previous: Lexeme | None, accepts: set[str]):
        super().__init__(lexeme.text)
        self.lexeme, self.terminal, self.previous, self.accepts = lexeme, terminal, previous, accepts


def parse(code: Sequence[Lexeme]) -> Tree[Token]:
    """The tree of the whole; the last lexeme is the end.  Raises `Unexpected`."""
    parser = language_parser()
    names = _names(parser)
    run = parser.parse_interactive()
    tree, previous = None, None
    for lexeme in code:
        kind, text, start = lexeme
        terminal = names.get(text) or _KINDS.get(kind, text)
        if terminal == "_NL" and terminal not in run.choices():  # type: ignore[no-untyped-call]
            continue
        if text in _NAMES_TOO and terminal not in run.choices():  # type: ignore[no-untyped-call]
            terminal = "NAME"
        try:
            tree = run.feed_token(Token(terminal, text, start_pos=start, end_pos=start + len(text)))
        except UnexpectedToken:
            texts = {name: text for text, name in names.items()}
            accepts = {texts.get(name, name) for name in run.accepts()}  # type: ignore[no-untyped-call]
            raise Unexpected(lexeme, texts.get(terminal, terminal), previous, accepts) from None
        previous = lexeme
    assert isinstance(tree, Tree)
    return tree


def language_parser() -> Lark:
    """The parser of `.net` files."""
    return parser_of(LANGUAGE)


@functools.cache
def _names(parser: Lark) -> Mapping[str, str]:
    """Lark's names of the words and signs of the grammar."""
    return {t.pattern.value: t.name for t in parser.terminals if t.pattern.type == "str"}
