"""Our driver builds the trees that Lark builds with the same grammar, and refuses what it refuses."""

from functools import cache
from pathlib import Path

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.source import NetError, Source, Span
from netdsl.syntax.grammar import grammar_text, language_table
from netdsl.syntax.lalr import Unexpected, parse
from netdsl.syntax.scan import scan

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.net"))
OPEN = {"word": "NAME", "number": "NUMBER", "string": "STRING", "newline": "_NL"}


@cache
def oracle():
    parser = lark.Lark(
        grammar_text("netdsl.lark"), start="file", parser="lalr", lexer="basic", maybe_placeholders=True
    )
    return parser, {t.pattern.value: t.name for t in parser.terminals if t.pattern.type == "str"}


class Recorder:
    """Builds Lark's trees, with texts for tokens."""

    def name(self, lexeme):
        return lexeme

    def span(self, start, end):
        return Span(self.source, start, end)

    def __init__(self, source):
        self.source = source
        for node in {rule.node for rule in language_table().rules} - {""}:
            setattr(self, f"on_{node}", self.maker(node))

    def maker(self, node):
        return lambda span, *children: lark.Tree(node, [getattr(c, "text", c) for c in children])


def ours(source):
    try:
        return parse(language_table(), scan(source).code, Recorder(source))
    except Unexpected:
        return None


def theirs(source):
    parser, terminals = oracle()
    run = parser.parse_interactive()
    try:
        for lexeme in scan(source).code[:-1]:
            choices = run.choices()
            terminal = terminals.get(lexeme.text, "")
            if terminal not in choices and (not terminal or lexeme.text not in language_table().reserved):
                terminal = OPEN.get(lexeme.kind, terminal)
            if terminal != "_NL" or terminal in choices:
                run.feed_token(lark.Token(terminal, lexeme.text))
        return run.feed_eof()
    except lark.UnexpectedToken:
        return None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path):
    source = Source(path.name, path.read_text(encoding="utf-8"))
    expected = theirs(source)
    assert expected is not None and ours(source) == expected


WORDS = [
    *sorted(language_table().reserved),
    "as",
    "where",
    "data",
    "x",
    "Net",
    "1",
    "2.5",
    '"a b"',
    "\n",
    "# c\n",
]
SIGNS = [*"()[]{}=|.@;,:+-*/%<>", "->", "..", "**", "//", "==", "!=", "<=", ">="]
LINES = [
    "net N {\n", "block B(k = 3) in a, b {\n", "}\n", "input x: [4, data = 2]\n", "y = x -> conv(3)\n",
    "train {\n", "epochs = 12\n", "for data in 0..3 {\n",
    "if a == 1 { b } else { c }\n", "x -> add { | in | b }\n", "as = where\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES) | st.sampled_from(WORDS + SIGNS), max_size=30))
def test_any_text(pieces):
    source = Source("test.net", " ".join(pieces))
    try:
        scan(source)
    except NetError:
        return
    assert ours(source) == theirs(source)
