"""Text to tree, with every syntax mistake reported in one go."""

from collections.abc import Sequence

from lark import Token, Tree
from lark.exceptions import UnexpectedToken

from netdsl.limits import MAX_SYNTAX_ERRORS
from netdsl.source import Diagnostic, NetError, Source
from netdsl.syntax.build import build
from netdsl.syntax.check import check
from netdsl.syntax.errors import describe
from netdsl.syntax.grammar import language_parser
from netdsl.syntax.recover import without_statement
from netdsl.syntax.scan import Lexeme, Scan, scan
from netdsl.syntax.terminals import terminals
from netdsl.syntax.tree import File

_RECOVERED_SIZE = 50_000  # characters; every error found costs another reading of the text


def parse(source: Source) -> File:
    """The tree of a source.

    Raises `NetError` with codes `syntax` (up to `MAX_SYNTAX_ERRORS`, in the order of the text) and `limit`.
    """
    file = build(source, _parse_tree(scan(source)))
    problems = check(file)
    if problems:
        raise NetError(*problems[:MAX_SYNTAX_ERRORS])
    return file


def _parse_tree(scanned: Scan) -> Tree[Token]:
    lexemes: Sequence[Lexeme] | None = scanned.code
    problems: dict[int, Diagnostic] = {}
    while lexemes is not None and len(problems) < MAX_SYNTAX_ERRORS:
        parsed = _read(scanned.source, lexemes)
        if isinstance(parsed, Tree):
            if not problems:
                return parsed
            break
        offset = parsed.span.start if parsed.span is not None else len(scanned.source.text)
        if offset in problems or len(scanned.source.text) > _RECOVERED_SIZE:
            problems.setdefault(offset, parsed)
            break
        problems[offset] = parsed
        lexemes = without_statement(scanned, lexemes, offset)
    raise NetError(*(problems[offset] for offset in sorted(problems)))


def _read(source: Source, lexemes: Sequence[Lexeme]) -> Tree[Token] | Diagnostic:
    """The tree, or the first mistake."""
    parser = language_parser().parse_interactive()
    previous = None
    try:
        for token in terminals(lexemes, parser.choices):
            parser.feed_token(token)
            previous = token
        tree: Tree[Token] = parser.feed_eof(previous)  # type: ignore[no-untyped-call]
    except UnexpectedToken as error:
        accepts: set[str] = parser.accepts()  # type: ignore[no-untyped-call]
        return describe(source, error.token, previous, accepts)
    return tree
