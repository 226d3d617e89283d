"""The width of the terminal, and wrapping of lines that are too long."""

from __future__ import annotations

import os
import re
import sys

#: a space at which `wrapped` does not break a line
JOINT = "\N{NO-BREAK SPACE}"


def terminal_width() -> int:
    """Columns of the terminal, or of `COLUMNS`; 100 where there is neither, and never below 40."""
    # `shutil.get_terminal_size` says the same, but its module waits for three libraries that compress.
    asked = os.environ.get("COLUMNS", "")
    columns = int(asked) if asked.isdecimal() else 0
    if columns == 0:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else -1).columns
        except (OSError, ValueError):  # no terminal, or closed
            columns = 0
    return max(40, columns or 100)


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Break a line at spaces into lines that fit; those after the first are indented.

    Shapes and `a -> b` stay in one piece where there is room.
    """
    if 0 < len(text) <= width and text.isprintable() and text == text.strip():
        return [text]
    import textwrap  # takes 1 ms, and most lines fit

    whole = re.sub(r"\[[^\]]{,40}\]| -> ", lambda m: m[0].replace(" ", JOINT), text)
    pieces = (p if len(p) <= width - indent else p.replace(JOINT, " ") for p in whole.split(" "))
    whole = " ".join(pieces)
    lines = textwrap.wrap(
        whole, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(JOINT, " ") for line in lines]


def fitted(text: str, width: int | None) -> str:
    """Wrap the long lines of a page; they continue below the text of their column.  A width of None wraps nothing.

    A column begins after two spaces: a broken line `name  what it is` continues below `what`.
    """
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _fitted(line, width))


def _fitted(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    column = re.match(r"\s*(?:\S+ )*\S+ {2,}|\s*", line)
    assert column is not None
    begin = column[0]
    if not begin.strip() or len(begin) > width // 2:
        begin = line[: len(line) - len(line.lstrip())]
    first, *more = wrapped(line[len(begin) :], width - len(begin)) or [""]
    indent = len(begin) if begin.strip() else len(begin) + 2
    rest = wrapped(" ".join(more), width - indent) if more else []
    return [begin + first, *(" " * indent + part for part in rest)]
