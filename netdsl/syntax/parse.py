"""Text to tree, with every syntax mistake reported in one go."""

from lark import Token, Tree
from lark.exceptions import UnexpectedToken

from netdsl.limits import MAX_SYNTAX_ERRORS
from netdsl.source import Diagnostic, NetError, Source
from netdsl.syntax.build import build
from netdsl.syntax.check import check
from netdsl.syntax.errors import describe
from netdsl.syntax.grammar import language_parser
from netdsl.syntax.recover import without_statement
from netdsl.syntax.scan import Scan, scan
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
    text: str | None = scanned.text
    problems: dict[int, Diagnostic] = {}
    while text is not None and len(problems) < MAX_SYNTAX_ERRORS:
        try:
            parsed = language_parser().parse(text)
        except UnexpectedToken as error:
            problem = describe(scanned.source, error)
            offset = problem.span.start if problem.span is not None else len(text)
            if offset in problems or len(text) > _RECOVERED_SIZE:
                problems.setdefault(offset, problem)
                break
            problems[offset] = problem
            text = without_statement(scanned, text, offset)
        else:
            if not problems:
                return parsed
            break
    raise NetError(*(problems[offset] for offset in sorted(problems)))
