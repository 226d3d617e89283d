"""The scanner: from text to lexemes, with balanced brackets and within limits, in one linear pass.

It runs before the parser for three reasons: hostile input is refused early, an open bracket is reported where it
was opened, and only line ends that may end a statement are left. The formatter prints its lexemes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from netdsl import words
from netdsl.limits import (
    MAX_DIGITS,
    MAX_LEXEMES,
    MAX_NAME,
    MAX_NESTING,
    MAX_SOURCE_SIZE,
    MAX_STRING,
    MAX_SYNTAX_ERRORS,
)
from netdsl.source import Diagnostic, NetError, Note, Source, Span

CLOSING = {"(": ")", "[": "]", "{": "}"}
#: a line that starts with one of these continues the statement above
CONTINUES = frozenset(["->", "|", "else", ")", "]", ","])

#: how a definition starts; `net` alone may be an attempt to use the word as a name
_DEFINES = re.compile(r"(net|block)[ \t]+[^\W\d]|import[ \t]*\"")
_LEXEME = re.compile(
    r"""(?P<comment>\#[^\n]*) | (?P<newline>\n) | (?P<blank>[ \t\r]+)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<number>[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+)?)
      | (?P<quoted>'[^'\n]*'?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<symbol>->|\.\.|\*\*|//|[=!<>]=|[][(){}=+\-*/%<>,.:;@|])
      | (?P<other>.)""",
    re.VERBOSE,
)

#: the longest lexeme of each kind, and its name in messages
_LONGEST = {
    "number": (MAX_DIGITS, "a number of {} digits"),
    "word": (MAX_NAME, "a name of {} characters"),
    "string": (MAX_STRING, "a string of {} characters"),
}

_HINTS = {
    '"': "a string ends on the line it starts on",
    "&": "write `and`",
    "!": "write `not`",
    "?": "sizes have numbers: `H = 224`",
    "^": "powers are written `**`",
    "→": "write `->`",
    "⟶": "write `->`",
    "×": "write `*`",
    "÷": "write `/`",
    "−": "write `-`",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "write `!=`",
    "\\": "a line goes on by itself when the next one starts with `->`, or within ( )",
}


class Lexeme(NamedTuple):
    """A piece of the text: `kind` is comment, newline, string, number, word, symbol or, behind the last one, end."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset behind the last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Scan:
    """A scanned source: its lexemes, blanks left out, and of these the `code` for the parser.

    Code has no comments, one line end where several follow each other, none where the statement goes on, and an end.
    """

    source: Source
    lexemes: tuple[Lexeme, ...]
    code: tuple[Lexeme, ...]


def scan(source: Source) -> Scan:
    """Scan a source; raises `NetError` on foreign characters, unbalanced brackets and past a limit."""
    if len(source.text) > MAX_SOURCE_SIZE:
        message = f"the text has {len(source.text):_} characters; the limit is {MAX_SOURCE_SIZE:_}"
        raise NetError(Diagnostic("limit", f"{source.name}: {message}"))
    lexemes = tuple(_lexemes(source))
    return Scan(source, lexemes, tuple(_code(source, lexemes)))


def _lexemes(source: Source) -> Iterator[Lexeme]:
    problems, count = [], 0
    for match in _LEXEME.finditer(source.text):
        kind = match.lastgroup or ""
        lexeme = Lexeme(kind, match.group(), match.start())
        count += kind != "blank"
        if count > MAX_LEXEMES:
            message = f"a text of more than {MAX_LEXEMES:_} words, numbers and signs"
            raise NetError(Diagnostic("limit", message, Span(source, lexeme.start, lexeme.end)))
        if kind in ("other", "quoted") or (kind in _LONGEST and len(lexeme.text) > _LONGEST[kind][0]):
            problems.append(_problem(source, lexeme))
            if len(problems) == MAX_SYNTAX_ERRORS:
                break
        elif kind != "blank":
            yield lexeme
    if problems:
        raise NetError(*problems)


def _problem(source: Source, lexeme: Lexeme) -> Diagnostic:
    span = Span(source, lexeme.start, lexeme.end)
    if lexeme.kind in _LONGEST:
        limit, what = _LONGEST[lexeme.kind]
        message = f"{what.format(len(lexeme.text))}; the limit is {limit:_}"
        return Diagnostic("limit", message, Span(source, span.start, span.start + 10))
    if lexeme.text == '"':
        line_end = source.text.find("\n", span.start)
        whole = Span(source, span.start, line_end if line_end >= 0 else len(source.text))
        return Diagnostic("syntax", "this string is never closed", whole, fix=_HINTS['"'])
    if lexeme.kind == "quoted":
        line = source.line_text(span.line)
        fix = "; ".join(filter(None, (words.QUOTES, words.in_line(line))))
        return Diagnostic("syntax", "unexpected character `'`", span, fix=fix)
    shown = f"`{lexeme.text}`" if lexeme.text.isprintable() else f"U+{ord(lexeme.text):04X}"
    return Diagnostic("syntax", f"unexpected character {shown}", span, fix=_HINTS.get(lexeme.text))


def _code(source: Source, lexemes: tuple[Lexeme, ...]) -> Iterator[Lexeme]:
    """What the parser reads; checks the brackets."""
    opened: list[Lexeme] = []
    line_end: Lexeme | None = None
    for lexeme in lexemes:
        if lexeme.kind == "newline":
            if line_end is None and (not opened or opened[-1].text == "{"):
                line_end = lexeme
        elif lexeme.kind != "comment":
            _bracket(source, opened, lexeme)
            if line_end is not None and lexeme.text not in CONTINUES:
                yield line_end
            line_end = None
            yield lexeme
    if opened:
        raise NetError(_unclosed(source, opened[-1]))
    if line_end is not None:
        yield line_end
    yield Lexeme("end", "", len(source.text))


def _bracket(source: Source, opened: list[Lexeme], lexeme: Lexeme) -> None:
    """Keep track of the brackets that are open."""
    if lexeme.text in CLOSING:
        opened.append(lexeme)
        if len(opened) > MAX_NESTING:
            span = Span(source, lexeme.start, lexeme.end)
            raise NetError(Diagnostic("limit", f"brackets nested deeper than {MAX_NESTING}", span))
    elif lexeme.text in (")", "]", "}"):
        _close(source, opened, lexeme)
    elif opened and lexeme.text in ("net", "block", "import") and _DEFINES.match(source.text, lexeme.start):
        raise NetError(_unclosed(source, opened[-1], lexeme, f"`{lexeme.text}` starts inside it"))


def _close(source: Source, opened: list[Lexeme], closer: Lexeme) -> None:
    if not opened:
        span = Span(source, closer.start, closer.end)
        raise NetError(Diagnostic("syntax", f"this `{closer.text}` closes nothing", span))
    opener = opened.pop()
    if CLOSING[opener.text] != closer.text:
        raise NetError(_unclosed(source, opener, closer, f"`{closer.text}` stands where it should be closed"))


def _unclosed(source: Source, opener: Lexeme, at: Lexeme | None = None, why: str = "") -> Diagnostic:
    notes = () if at is None else (Note(why, Span(source, at.start, at.end)),)
    message = f"this `{opener.text}` is never closed"
    fix = f"add the missing `{CLOSING[opener.text]}`"
    return Diagnostic("syntax", message, Span(source, opener.start, opener.end), notes=notes, fix=fix)
