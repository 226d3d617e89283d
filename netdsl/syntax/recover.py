"""Recovery from a syntax error: leave out the statement that holds it and parse the rest again."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from netdsl.syntax.scan import Lexeme


def without_statement(code: Sequence[Lexeme], offset: int) -> list[Lexeme] | None:
    """The code without the smallest statement around `offset`; None where that changes nothing."""
    around = [(start, end) for start, end in _statements(code) if start <= offset <= end]
    for start, end in sorted(around, key=lambda place: place[1] - place[0]):
        rest = [lexeme for lexeme in code if not start <= lexeme.start < end]
        if len(rest) < len(code):
            return rest
    return None


def _statements(code: Sequence[Lexeme]) -> Iterator[tuple[int, int]]:
    """Start and end of every statement, definition and entry; the end is where its separator stands."""
    bodies: list[int | None] = [0]  # where the current statement of each open bracket starts; None has none
    for lexeme, following in pairwise(code):
        start = bodies[-1]
        if lexeme.text == "{":
            bodies.append(None if following.text == "|" else lexeme.end)
        elif lexeme.text in ("(", "["):
            bodies.append(None)
        elif lexeme.text in (")", "]", "}"):
            if start is not None:
                yield start, lexeme.start
            bodies.pop()
        elif start is not None and (lexeme.text == ";" or lexeme.kind == "newline"):
            yield start, lexeme.start
            bodies[-1] = lexeme.end
    yield bodies[0] or 0, code[-1].start
