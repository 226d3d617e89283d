"""The input of the formatter: the lexemes of a text, where statements start, and the spaces between."""

from dataclasses import dataclass
from itertools import pairwise

from netdsl.syntax.scan import CLOSING, Scan

OPENERS = frozenset(CLOSING)
CLOSERS = frozenset(CLOSING.values())
_KEYWORDS = frozenset(  # those an expression cannot end with
    [
        "net",
        "block",
        "import",
        "input",
        "output",
        "aux",
        "layer",
        "assert",
        "for",
        "if",
        "else",
        "repeat",
        "or",
        "and",
        "not",
    ]
)
_BINARY = frozenset(["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<=", ">=", "<", ">", "and", "or"])
_TIGHT = frozenset([".", "..", "**"])
_CONTINUES = frozenset(["->", "|", "else", ",", "{", *CLOSERS])


@dataclass
class Piece:
    """A lexeme with the context that the formatter needs."""

    text: str
    is_comment: bool
    lines: int  # line ends before it in the source
    touches: bool  # no blank before it in the source
    starts_statement: bool = False  # a line end or `;` before it ended a statement
    partner: int = -1  # index of the matching bracket
    within: str = ""  # the innermost bracket open before it
    opener: int = -1  # the index of that bracket
    is_unary: bool = False
    is_for_in: bool = False
    is_spaced: bool = True  # blanks around this operator
    pad: int = 0  # blanks before it that align it with others

    @property
    def ends_operand(self) -> bool:
        """Whether an expression may end with it."""
        word = self.text[0].isalnum() or self.text[0] in '_"'
        return (word and self.text not in _KEYWORDS and not self.is_for_in) or self.text in CLOSERS


def pieces_of(scan: Scan) -> list[Piece]:
    """The pieces of a scanned text; line ends and `;` have become properties of the piece behind them."""
    pieces: list[Piece] = []
    opened: list[int] = []
    end = lines = 0
    semicolon = False
    before: Piece | None = None  # the last piece that is not a comment
    ended = False  # a line end since then
    for lexeme in scan.lexemes:
        if lexeme.kind == "newline":
            lines += 1
            ended = True
        elif lexeme.text == ";":
            semicolon = True
        else:
            piece = Piece(lexeme.text, lexeme.kind == "comment", lines, lexeme.start == end)
            if opened:
                piece.within, piece.opener = pieces[opened[-1]].text, opened[-1]
            pieces.append(piece)
            if not piece.is_comment:
                ended = ended and piece.within in ("", "{") and before is not None and before.ends_operand
                piece.starts_statement = semicolon or (ended and piece.text not in _CONTINUES)
                _pair(pieces, opened)
                _classify(piece, before)
                before, ended, semicolon = piece, False, False
            lines = 0
        end = lexeme.end
    _space_operators(pieces)
    return pieces


def _pair(pieces: list[Piece], opened: list[int]) -> None:
    last = len(pieces) - 1
    if pieces[last].text in OPENERS:
        opened.append(last)
    elif pieces[last].text in CLOSERS:
        pieces[last].partner = opened.pop()
        pieces[pieces[last].partner].partner = last


def _classify(piece: Piece, before: Piece | None) -> None:
    follows_operand = before is not None and before.ends_operand and not piece.starts_statement
    piece.is_unary = piece.text == "-" and not follows_operand
    piece.is_for_in = piece.text == "in" and follows_operand


def _space_operators(pieces: list[Piece]) -> None:
    """Keep products as they are written, with or without spaces: `4*c` and `64 * n`."""
    for piece, behind in pairwise(pieces):
        if piece.text in _TIGHT:
            piece.is_spaced = False
        elif piece.text in ("*", "/", "//", "%"):
            piece.is_spaced = not (piece.touches and behind.touches) or piece.lines + behind.lines > 0


def joins_line(piece: Piece, before: Piece) -> bool:
    """Whether a line end between these two is dropped."""
    if before.is_comment or piece.starts_statement:
        return False
    if piece.text in ("{", ",", ".") or (piece.text == "else" and before.text == "}"):
        return True
    if before.text in OPENERS or before.text in _BINARY or before.text == ",":
        return before.is_unary
    return not before.ends_operand


def blanks(before: Piece, piece: Piece) -> str:
    """The spaces between two pieces of one line."""
    if piece.is_comment:
        return "  "
    if piece.starts_statement and before.text != "{":
        return "; "
    return " " * (piece.pad + (0 if _touch(before, piece) else 1))


def _touch(before: Piece, piece: Piece) -> bool:
    if before.text in ("(", "[", "@") or piece.text in (")", "]", ",", ":"):
        return True
    if before.text == "{" and piece.text == "}":
        return True
    if before.is_unary or not (piece.is_spaced and before.is_spaced):
        return True
    return piece.text in ("(", "[") and before.ends_operand and (before.text != "in" or piece.text == "[")
