"""`netdsl fmt`: one format for all files, which keeps the author's line breaks where it can."""

import itertools

from netdsl.source import Source
from netdsl.syntax.parse import parse
from netdsl.syntax.pieces import CLOSERS, OPENERS, Piece, blanks, joins_line, pieces_of
from netdsl.syntax.scan import scan
from netdsl.syntax.tree import Section

WIDTH = 100
_INDENT = 2


def format_source(source: Source) -> str:
    """The text of a source in the one format.

    Comments and the author's line breaks stay, blank lines are kept one at a time, bodies written on one line
    stay on one line where they fit, long lines break at `->`. Formatting the result again changes nothing,
    and it has the same tree. Raises `NetError` where the source does not parse.
    """
    tree = parse(source)
    text = _Layout(pieces_of(scan(source))).text()
    if parse(Source(source.name, text)) != tree:
        raise AssertionError(f"formatting {source.name} would change what it says")
    return text


class _Layout:
    """Pieces, and for each the line ends to print before it: 0, 1, or 2 for a blank line."""

    def __init__(self, pieces: list[Piece]):
        self.pieces = pieces
        self.breaks = [0] * len(pieces)
        for index in range(1, len(pieces)):
            self.breaks[index] = self._written_break(index)
        self._turn_arrows()
        for index, piece in enumerate(pieces):
            if piece.text == "{" and any(self.breaks[index + 1 : piece.partner + 1]):
                self._open(index)
            elif piece.text in ("(", "["):
                self._open_list(index)

    def text(self) -> str:
        """The whole text, its comments behind code aligned where they stand one below the other."""
        lines: list[tuple[str, str]] = []
        indents: list[int] = []  # of the lines with the brackets open now
        start = 0
        while start < len(self.pieces):
            end = self._line_end(start)
            indent = self._indent(start, indents)
            code, comment = self._render(start, end, indent)
            if len(code) > WIDTH and self._split(start, end, indent):
                continue
            lines += [("", "")] * (self.breaks[start] - 1) + [(code, comment)]
            for piece in self.pieces[start:end]:
                if piece.text in OPENERS:
                    indents.append(indent)
                elif piece.text in CLOSERS:
                    indents.pop()
            start = end
        return _join(lines)

    # Where lines break

    def _written_break(self, index: int) -> int:
        """The line ends the author wrote before a piece, as far as they stay."""
        piece, before = self.pieces[index], self.pieces[index - 1]
        if before.is_comment:
            wanted = max(piece.lines, 1)
        elif piece.lines == 0 or (not piece.is_comment and joins_line(piece, before)):
            return 0
        else:
            wanted = piece.lines
        if piece.text == "}" and before.text == "{":
            return 0
        separates = piece.is_comment or piece.starts_statement or piece.text == "|"
        inside = before.text == "{" or piece.within in ("(", "[")
        return min(wanted, 2 if separates and not inside else 1)

    def _turn_arrows(self) -> None:
        """Move a line end after `->` to before it."""
        for index in range(1, len(self.pieces) - 1):
            behind = self.pieces[index + 1]
            if self.pieces[index].text == "->" and behind.lines and not behind.is_comment:
                self.breaks[index] = max(self.breaks[index], 1)

    def _open(self, brace: int) -> None:
        """Give every statement or branch of a body a line of its own."""
        end = self.pieces[brace].partner
        for index in self._members(brace):
            piece = self.pieces[index]
            first = index == brace + 1 and not (piece.is_comment and piece.lines == 0)
            if first or piece.starts_statement or (piece.text == "|" and not piece.is_comment):
                self.breaks[index] = max(self.breaks[index], 1)
        self.breaks[end] = 1
        names = [piece.text for piece in self.pieces[max(0, brace - 2) : brace]]
        if self.pieces[brace].within == "" and (names[-1] in Section.KINDS or names[0] == "preset"):
            self._align(brace)

    def _open_list(self, bracket: int) -> None:
        """Where items stand on lines of their own, the brackets do not share those lines."""
        first, end = bracket + 1, self.pieces[bracket].partner
        broken = (k for k in self._members(bracket) if self.breaks[k] and self.pieces[k].text not in CLOSERS)
        if any(self._starts_item(k) for k in broken):
            beside = self.pieces[first].is_comment and not self.pieces[first].lines
            self.breaks[first] = 0 if beside else 1
            self.breaks[end] = 1

    def _starts_item(self, index: int) -> bool:
        """Whether a piece is the first behind a comma or an opening bracket, comments aside."""
        before = index - 1
        while self.pieces[before].is_comment:
            before -= 1
        return self.pieces[before].text in (",", *OPENERS)

    def _members(self, bracket: int) -> list[int]:
        """The pieces directly inside a bracket; of brackets within only the outer ones."""
        members, index, end = [], bracket + 1, self.pieces[bracket].partner
        while index < end:
            members.append(index)
            inner = self.pieces[index].partner
            index += 1
            if inner >= index:
                members.append(inner)
                index = inner + 1
        return members

    def _align(self, brace: int) -> None:
        """Put the `=` of settings on neighbouring lines one below the other."""
        run: list[int] = []
        for index in [*self._members(brace), self.pieces[brace].partner]:
            at_end = index == self.pieces[brace].partner
            own_comment = self.pieces[index].is_comment and self.breaks[index]
            if at_end or own_comment or self.breaks[index] == 2:
                self._pad(run)
                run = []
            if self.breaks[index] and not at_end and self.pieces[index + 1].text == "=":
                run.append(index)
        self._pad(run)

    def _pad(self, names: list[int]) -> None:
        width = max((len(self.pieces[index].text) for index in names), default=0)
        for index in names:
            self.pieces[index + 1].pad = width - len(self.pieces[index].text)

    # One line

    def _line_end(self, start: int) -> int:
        end = start + 1
        while end < len(self.pieces) and not self.breaks[end]:
            end += 1
        return end

    def _indent(self, start: int, indents: list[int]) -> int:
        index = start
        while index < len(self.pieces) and self.pieces[index].is_comment:
            index += 1
        base = indents[-1] + _INDENT if indents else 0
        if index == len(self.pieces):
            return base
        piece = self.pieces[index]
        if piece.text in CLOSERS:
            return indents[-1] if index == start else base
        return base + (_INDENT if self._continues(index) else 0)

    def _continues(self, index: int) -> bool:
        """Whether a line that starts here goes on a statement that started on a line above."""
        piece = self.pieces[index]
        before = next((p for k in range(index - 1, -1, -1) if not (p := self.pieces[k]).is_comment), None)
        if before is None or before.text == "{" or piece.within in ("(", "["):
            return False
        return not (
            piece.starts_statement or piece.text == "|" or (piece.text == "else" and before.text == "}")
        )

    def _render(self, start: int, end: int, indent: int) -> tuple[str, str]:
        """The code and the comment of a line."""
        parts = [" " * indent]
        for index in range(start, end):
            piece = self.pieces[index]
            if piece.is_comment and index > start:
                return "".join(parts), piece.text.rstrip()
            parts.append(
                ("" if index == start else blanks(self.pieces[index - 1], piece)) + piece.text.rstrip()
            )
        return "".join(parts), ""

    # Lines that are too long

    def _split(self, start: int, end: int, indent: int) -> bool:
        """Break a long line at one more place; False if there is none."""
        if self._open_bodies(start, end) or self._fill(start, end, indent):
            return True
        for joints in self._joints(start, end):
            if joints:
                fitting = [index for index in joints if len(self._render(start, index, indent)[0]) <= WIDTH]
                self.breaks[fitting[-1] if fitting else joints[0]] = 1
                return True
        return self._spread(start, end)

    def _outermost(self, start: int, end: int, openers: str) -> list[int]:
        """Brackets of these kinds that open and close on the line, not empty and in no other of them."""
        found, index = [], start
        while index < end:
            piece = self.pieces[index]
            if piece.text in openers and piece.text in OPENERS and index + 1 < piece.partner < end:
                found.append(index)
                index = piece.partner
            index += 1
        return found

    def _open_bodies(self, start: int, end: int) -> bool:
        bodies = self._outermost(start, end, "{")
        for brace in bodies:
            self._open(brace)
        return bool(bodies)

    def _fill(self, start: int, end: int, indent: int) -> bool:
        """Put as many items of an opened bracket on each line as fit."""
        bracket = self.pieces[start].opener
        if bracket < 0 or self.pieces[bracket].text == "{" or not self.breaks[self.pieces[bracket].partner]:
            return False
        items = [
            k
            for k in range(start + 1, end)
            if self.pieces[k - 1].text == "," and self.pieces[k].opener == bracket
        ]
        begin, broken = start, False
        for item, behind in itertools.pairwise([*items, end]):
            if len(self._render(begin, behind, indent)[0]) > WIDTH:
                begin, broken = item, True
                self.breaks[item] = 1
        return broken

    def _joints(self, start: int, end: int) -> tuple[list[int], list[int], list[int]]:
        """Where a line may break outside its brackets: before `->`, before `else`, behind an operator."""
        arrows: list[int] = []
        elses: list[int] = []
        operands: list[int] = []
        depth = 0
        for index in range(start, end):
            piece = self.pieces[index]
            depth = max(0, depth + (piece.text in OPENERS) - (piece.text in CLOSERS))
            if depth > 0 or index == start:
                continue
            if piece.text == "->":
                arrows.append(index)
            elif piece.text == "else" and self.pieces[index - 1].text != "}":
                elses.append(index)
            elif piece.text in ("+", "-", "and", "or") and not piece.is_unary and index + 1 < end:
                operands.append(index + 1)
        return arrows, elses, operands

    def _spread(self, start: int, end: int) -> bool:
        """Give the items of the longest bracket lines of their own: one each, or as many numbers or names as fit."""
        brackets = self._outermost(start, end, "([")
        if not brackets:
            return False
        bracket = max(brackets, key=lambda index: self.pieces[index].partner - index)
        while bracket + 2 < self.pieces[bracket + 1].partner == self.pieces[bracket].partner - 1:
            bracket += 1  # what is alone in a bracket opens with it, but for an empty one: `gather([`
        members = self._members(bracket)
        plain = all(self.pieces[k].text not in ("=", "->", *OPENERS) for k in members)
        for index in [*members, self.pieces[bracket].partner]:
            edge = index in (bracket + 1, self.pieces[bracket].partner)
            if edge or (self.pieces[index - 1].text == "," and not plain):
                self.breaks[index] = 1
        return True


def _join(lines: list[tuple[str, str]]) -> str:
    """The lines as a text; comments behind code on neighbouring lines stand one below the other."""
    printed: list[str] = []
    index = 0
    while index < len(lines):
        end = index
        while end < len(lines) and lines[end][1]:
            end += 1
        column = max((len(code) for code, _ in lines[index:end]), default=0) + 2
        printed += [f"{code:<{column}}{comment}" for code, comment in lines[index:end]]
        if end < len(lines):
            printed.append(lines[end][0])
        index = end + 1
    return "".join(f"{line}\n" for line in printed)
