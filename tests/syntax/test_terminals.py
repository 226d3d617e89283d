"""Our terminals are those that Lark's own lexer finds in the text with the patterns of the grammar."""

from functools import cache
from pathlib import Path

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from netdsl.source import Diagnostic, NetError, Source
from netdsl.syntax.grammar import grammar_text
from netdsl.syntax.parse import _read
from netdsl.syntax.scan import Scan, scan
from netdsl.syntax.terminals import OPERATORS, RESERVED, SIGNS, WORDS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.net"))


@cache
def oracle():
    return lark.Lark(
        grammar_text("netdsl.lark"), start="file", parser="lalr", lexer="contextual", maybe_placeholders=True
    )


def blanked(scanned: Scan) -> str:
    """The text with blanks for what the parser does not read."""
    text = scanned.source.text
    for lexeme in set(scanned.lexemes) - set(scanned.code):
        text = text[: lexeme.start] + " " * len(lexeme.text) + text[lexeme.end :]
    return text


def compare(text: str) -> None:
    scanned = scan(Source("test.net", text))
    ours = _read(scanned.source, scanned.code)
    try:
        theirs = oracle().parse(blanked(scanned))
    except UnexpectedInput:
        assert isinstance(ours, Diagnostic)
    else:
        assert ours == theirs


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples(path):
    compare(path.read_text())


WORDS_AND_SIGNS = [
    *RESERVED,
    *WORDS,
    *SIGNS,
    *OPERATORS,
    "x",
    "Net",
    "1",
    "2.5",
    "3e-4",
    '"a b"',
    "\n",
    "# c\n",
]
LINES = [
    "net N {\n", "block B(k = 3) in a, b {\n", "}\n", "input x: [4, data = 2]\n", "y = x -> conv(3)\n", "train {\n",
    "epochs = 12\n", "for data in 0..3 {\n",
    "if a == 1 { b } else { c }\n", "x -> add { | in | b }\n", "as = where\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES) | st.sampled_from(WORDS_AND_SIGNS), max_size=30))
def test_any_text(pieces):
    text = " ".join(pieces)
    try:
        scan(Source("test.net", text))
    except NetError:
        return
    compare(text)
