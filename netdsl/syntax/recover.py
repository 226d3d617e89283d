"""Going on after a syntax error: the statement it stands in is left out, and the rest is read again."""

from collections.abc import Iterator, Sequence

from netdsl.syntax.scan import Lexeme, Scan


def without_statement(scan: Scan, lexemes: Sequence[Lexeme], offset: int) -> Sequence[Lexeme] | None:
    """The lexemes without those of the smallest statement around `offset`; None where that changes nothing."""
    around = [(start, end) for start, end in _statements(scan) if start <= offset <= end]
    for start, end in sorted(around, key=lambda place: place[1] - place[0]):
        left = [lexeme for lexeme in lexemes if not start <= lexeme.start < end]
        if len(left) < len(lexemes):
            return left
    return None


def _statements(scan: Scan) -> Iterator[tuple[int, int]]:
    """Start and end of every statement, definition and entry; the end is where its separator stands."""
    following = _following(scan)
    bodies: list[int | None] = [0]  # where the current statement of each open bracket starts; None has none
    for index, lexeme in enumerate(scan.lexemes):
        start = bodies[-1]
        if lexeme.text == "{":
            bodies.append(None if following[index] == "|" else lexeme.end)
        elif lexeme.text in ("(", "["):
            bodies.append(None)
        elif lexeme.text in (")", "]", "}"):
            if start is not None:
                yield start, lexeme.start
            bodies.pop()
        elif start is not None and (lexeme.text == ";" or _ends_line(lexeme, following[index])):
            yield start, lexeme.start
            bodies[-1] = lexeme.end
    yield bodies[0] or 0, len(scan.source.text)


def _ends_line(lexeme: Lexeme, following: str) -> bool:
    """Whether this is a line end that separates statements."""
    return lexeme.kind == "newline" and following not in ("->", "|", "else", ")", "]", ",")


def _following(scan: Scan) -> list[str]:
    """For every lexeme the text of the next one that is neither line end nor comment."""
    result, text = [], ""
    for lexeme in reversed(scan.lexemes):
        result.append(text)
        if lexeme.kind not in ("newline", "comment"):
            text = lexeme.text
    return result[::-1]
