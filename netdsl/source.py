"""Diagnostics: sources with a name, places in them, and errors and warnings that point at the places.

This module knows nothing of networks. Every room reports its mistakes as one `NetError` carrying
`Diagnostic`s.
"""

import re
import unicodedata
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from netdsl.terminal import fitted

_TAB = 4
_WINDOW = 120  # columns shown of a line too long to print, around the caret
_MESSAGE = 600  # characters of a message that are shown, whatever it quotes
_VALUE = 80  # characters of a value that are shown in a message


def brief(text: str, limit: int = _VALUE) -> str:
    """A text as messages quote it; the middle of a long one is left out."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]} … {text[head - limit :]}"


def counted(number: int, what: str) -> str:
    """A number with its noun: `1 epoch`, `2 epochs`, `2 classes`, `2 batches`, `2 entries`, `2 axes`."""
    return f"1 {what}" if number == 1 else f"{number:,} {_plural(what)}"


def first_of(names: Collection[str], most: int) -> str:
    """At most so many names, and how many there are besides: `a, b, c and 4 more`."""
    some = ", ".join(list(names)[:most])
    return f"{some} and {len(names) - most} more" if len(names) > most else some


def natural(name: str) -> list[tuple[int, str]]:
    """A key for sorting that puts run-10 behind run-9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _plural(noun: str) -> str:
    for end, plural in (("axis", "axes"), ("index", "indices"), ("entry", "entries")):
        if noun.endswith(end):
            return noun.removesuffix(end) + plural
    return noun + ("es" if noun.endswith(("s", "x", "tch", "nch")) else "s")


@dataclass(frozen=True)
class Source:
    """A text and the name it is shown under, normally its path.

    `written` is what the user wrote where that is not a program by itself, such as the words of a command line;
    `text` then has the same characters at the same places, in the frame that makes a program of them.
    """

    name: str
    text: str = field(repr=False)
    written: str | None = field(default=None, repr=False)

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1, in characters."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a line (counted from 1) without its line end."""
        start = self._line_starts[line - 1]
        end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self.text)
        return (self.text if self.written is None else self.written)[start:end].rstrip("\r")


@dataclass(frozen=True)
class Span:
    """The characters `start` to `end` (exclusive) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, from 1, in characters."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    def to(self, other: "Span") -> "Span":
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.start, other.end)

    def to_json(self) -> dict[str, Any]:
        """File, line and column of both ends, as plain data."""
        line, column = self.source.position(self.start)
        end_line, end_column = self.source.position(self.end)
        place = {"file": self.source.name, "line": line, "column": column}
        return {**place, "end_line": end_line, "end_column": end_column}

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self}-{self.end - self.start})"


@dataclass(frozen=True)
class Note:
    """Another place that is part of the explanation."""

    message: str
    span: Span | None = None
    label: str = ""

    def __post_init__(self) -> None:
        _bound(self, "message", "label")


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning: the message, its place and a suggested fix.

    A `warning` does not stop the command: it says what was assumed, or what is probably a mistake; see `warn`.
    `code` names the kind (`syntax`, `shape`, …), `label` stands behind the carets, `trail` lists the uses
    that led here, innermost first, each as the text of the use and its place; `fix` says what to write
    instead.
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[Note, ...] = ()
    trail: tuple[tuple[str, Span], ...] = ()
    fix: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        _bound(self, "message", "label", "fix")

    def at(self, span: Span | None) -> "Diagnostic":
        """This diagnostic at a place, unless it has one already."""
        return self if self.span is not None else replace(self, span=span)

    def render(self, width: int | None = None) -> str:
        """The diagnostic as text for people, without a final newline, in lines of `width` columns if given.

        Places are not broken, and go on in the next line of a terminal.
        """
        lines = [fitted(f"{self.severity}[{self.code}]: {self.message}", width)]
        gutter = self._gutter()
        if self.span is not None:
            lines += _excerpt(self.span, self.label, gutter, width)
        for note in self.notes:
            lines.append(fitted(f"note: {note.message}", width))
            if note.span is not None:
                lines += _excerpt(note.span, note.label, gutter, width)
        lines += [fitted(f"  in {text}, used at {span}", width) for text, span in self.trail]
        if self.fix is not None:
            lines.append(fitted(f"help: {self.fix}", width))
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The diagnostic as plain data for `--format json`."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "span": self.span and self.span.to_json(),
            "label": self.label,
            "notes": [
                {"message": note.message, "span": note.span and note.span.to_json(), "label": note.label}
                for note in self.notes
            ],
            "trail": [{"text": text, "span": span.to_json()} for text, span in self.trail],
            "fix": self.fix,
        }

    def _gutter(self) -> int:
        spans = [self.span, *(note.span for note in self.notes)]
        return max((len(str(span.line)) for span in spans if span is not None), default=0)


class NetError(Exception):
    """One or more mistakes in what the user wrote or asked for; `str()` renders them all."""

    def __init__(self, *diagnostics: Diagnostic):
        if not diagnostics:
            raise ValueError("a NetError needs at least one diagnostic")
        super().__init__(*diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics

    def at(self, span: Span | None) -> "NetError":
        """The same errors; those without a place get this one."""
        return NetError(*(diagnostic.at(span) for diagnostic in self.diagnostics))

    def __str__(self) -> str:
        return "\n\n".join(diagnostic.render() for diagnostic in self.diagnostics)


class Mistakes:
    """Collects errors, to report all of them at once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    @contextmanager
    def at(self, span: Span | None = None) -> Iterator[None]:
        """Collect the errors that the body raises and go on; those without a place get this one."""
        try:
            yield
        except NetError as error:
            self.add(error.at(span).diagnostics)

    def add(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Add errors, each once."""
        self.found += (d for d in diagnostics if d not in self.found)

    def done(self) -> None:
        """Raise NetError with all errors found, if there are any."""
        if self.found:
            raise NetError(*self.found)


@contextmanager
def placed(span: Span | None) -> Iterator[None]:
    """Give the errors of the body this place, unless they have one."""
    try:
        yield
    except NetError as error:
        raise error.at(span) from error.__cause__


class NetWarning(UserWarning):
    """A diagnostic as a warning of Python; `str()` renders it."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic)
        self.diagnostic = diagnostic

    def __str__(self) -> str:
        return self.diagnostic.render()


def warn(diagnostic: Diagnostic) -> None:
    """Issue a Python warning, which the commands print on stderr."""
    warnings.warn(NetWarning(replace(diagnostic, severity="warning")), stacklevel=3)


def painted(text: str) -> str:
    """A rendered diagnostic in a terminal's colours: what it is and the carets in red, or yellow for a warning."""
    colour = "1;33" if text.startswith("warning") else "1;31"
    text = re.sub(r"\A\w+(?:\[[^\]]*\])?:", rf"\033[{colour}m\g<0>\033[0m", text)
    text = re.sub(r"(?m)^(note|help):", "\033[1m\\g<0>\033[0m", text)
    return re.sub(r"(?m)(?<=^)( *\| +)(\^+.*)$", rf"\1\033[{colour}m\2\033[0m", text)


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most similar to `name`, ignoring case; None if none is similar."""
    pool: Sequence[str] = sorted(set(candidates))
    by_lower = {candidate.lower(): candidate for candidate in reversed(pool)}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    import difflib  # takes 1 ms, and mistakes are rare

    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def _bound(owner: object, *names: str) -> None:
    """Shorten long quotes in a message."""
    for name in names:
        text = getattr(owner, name)
        if text is not None and len(text) > _MESSAGE:
            object.__setattr__(owner, name, brief(text, _MESSAGE))


def _excerpt(span: Span, label: str, gutter: int, page: int | None) -> list[str]:
    """The place, its first line and the carets below it, with the label behind or below them."""
    line, column = span.source.position(span.start)
    text = span.source.line_text(line)
    first = min(column - 1, len(text))
    last = min(first + max(span.end - span.start, 1), max(len(text), first + 1))
    room = None if page is None else max(page - gutter - 3, 2 * _TAB)
    shown, left, width = _window(text, first, last, room)
    pad = " " * gutter
    carets = [" " * left + "^" * width]
    if label and (room is None or left + width + 1 + len(label) <= room):
        carets = [f"{carets[0]} {label}"]
    elif label and room is not None:
        indent = " " * max(0, min(left, room - len(label)))
        carets += [indent + part for part in fitted(label, room).split("\n")]
    head = [f"{pad}--> {span}", f"{pad} |", f"{line:>{gutter}} | {shown}".rstrip()]
    return [*head, *(f"{pad} | {part}" for part in carets)]


def _window(text: str, first: int, last: int, room: int | None) -> tuple[str, int, int]:
    """The shown text of a line, the column of the carets and their number."""
    begin, end = 0, len(text)
    if end > 2 * _WINDOW:
        begin = max(0, min(first - _WINDOW // 2, end - _WINDOW))
        end = begin + _WINDOW
    if room is not None and _fitting(text[begin:end], room) < end - begin:
        size = room - 2
        if last - begin > size:
            begin = max(begin, min(first - size // 2, end - size))
        end = begin + _fitting(text[begin:end], size)
    last = min(last, end)
    head = "…" if begin else ""
    tail = "…" if end < len(text) else ""
    cells = [_cell(char) for char in text[begin:end]]
    shown = head + "".join(char for char, _ in cells) + tail
    left = len(head) + sum(width for _, width in cells[: first - begin])
    return shown, left, max(1, sum(width for _, width in cells[first - begin : last - begin]))


def _fitting(text: str, columns: int) -> int:
    """How many of the characters fit in the width."""
    return sum(total <= columns for total in accumulate(_cell(char)[1] for char in text))


def _cell(char: str) -> tuple[str, int]:
    """A character as it is printed, and the terminal columns it takes."""
    if char == "\t":
        return " " * _TAB, _TAB
    if unicodedata.combining(char):
        return char, 0
    if unicodedata.category(char) in ("Cc", "Cf", "Cs"):
        return "\N{REPLACEMENT CHARACTER}", 1
    return char, 2 if unicodedata.east_asian_width(char) in "WF" else 1
