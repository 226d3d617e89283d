"""How wide the page is, and lines that are wider."""

from __future__ import annotations

import re
import shutil
import textwrap

#: a blank at which `wrapped` breaks no line
JOINT = "\N{NO-BREAK SPACE}"


def terminal_width() -> int:
    """Columns of the terminal, or of `COLUMNS`; 100 where there is neither, and never below 40."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """A line in several that fit, where there is a blank to break at; those behind the first are indented.

    Shapes and `a -> b` stay in one piece.
    """
    whole = re.sub(r"\[[^\]]{,40}\]| -> ", lambda m: m[0].replace(" ", JOINT), text)
    lines = textwrap.wrap(
        whole, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(JOINT, " ") for line in lines]
