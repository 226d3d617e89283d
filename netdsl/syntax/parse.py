"""Text to tree, with every syntax mistake reported in one go."""

from collections.abc import Sequence
from functools import lru_cache

from netdsl.limits import MAX_SYNTAX_ERRORS
from netdsl.source import Diagnostic, NetError, Source
from netdsl.syntax.build import build
from netdsl.syntax.check import check
from netdsl.syntax.errors import describe
from netdsl.syntax.lalr import Unexpected
from netdsl.syntax.recover import without_statement
from netdsl.syntax.scan import Lexeme, scan
from netdsl.syntax.tree import File

_REREAD = 50_000  # lexemes; every error found costs another reading of the text


# Presets and imports parse the same files many times; trees are immutable, so they can be shared.
@lru_cache(maxsize=8)
def parse(source: Source) -> File:
    """The tree of a source.

    Raises `NetError` with codes `syntax` (up to `MAX_SYNTAX_ERRORS`, in the order of the text) and `limit`.
    """
    file, problems = _parse(source, scan(source).code)
    problems += check(file)
    if problems:
        raise NetError(*sorted(problems, key=_offset)[:MAX_SYNTAX_ERRORS])
    return file


def _parse(source: Source, code: Sequence[Lexeme]) -> tuple[File, list[Diagnostic]]:
    rest: Sequence[Lexeme] | None = code
    problems: dict[int, Diagnostic] = {}
    left = _REREAD
    while rest is not None and len(problems) < MAX_SYNTAX_ERRORS:
        try:
            built = build(source, rest)
        except Unexpected as error:
            problem = describe(source, error)
            offset = _offset(problem)
            left -= len(rest)
            if offset in problems or left < len(rest):
                problems.setdefault(offset, problem)
                break
            problems[offset] = problem
            rest = without_statement(rest, offset)
        else:
            if not problems:
                return built
            break
    raise NetError(*(problems[offset] for offset in sorted(problems)))


def _offset(problem: Diagnostic) -> int:
    return problem.span.start if problem.span is not None else 0
