"""Declarations of variables and parameters, with their sizes and first values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from netdsl.cuda.emulator.errors import PTXError
from netdsl.cuda.emulator.operands import DTYPES, Variable, integer, literal, parts

MAX_VARIABLE: Final = 1 << 30
"""Bytes of one variable."""


_SPACE = r"(?:shared|local|global|const)"
VARIABLE = re.compile(
    r"(?:\.(?:visible|weak|extern|common)\s+)*\.(?P<space>"
    + _SPACE
    + r")\s+(?:\.align\s+(?P<align>\d{1,6})\s+)?"
    r"(?:\.v(?P<vector>[24])\s+)?\.(?P<type>\w+)\s+(?P<name>[\w$]+)\s*(?P<shape>(?:\[\s*\d*\s*\]\s*)*)"
    r"(?:=\s*(?P<values>.*))?",
    re.S,
)
_PARAMETER = re.compile(
    r"\.param\s+(?:\.align\s+(\d{1,6})\s+)?\.(\w+)\s+(?:\.ptr[^,]*?\s)?([\w$]+)\s*(?:\[\s*(\d{1,10})\s*\])?"
)


def declared(match: re.Match[str], line: int) -> Variable:
    """A variable from its declaration."""
    kind = known_type(match["type"], line)
    lengths = re.findall(r"\[\s*(\d*)\s*\]", match["shape"])
    dynamic = lengths == [""] and not match["values"]
    count = int(match["vector"] or 1)
    for length in lengths if not dynamic else ():
        count *= integer(length or "0", line)
    if lengths == [""] and match["values"]:
        count = len(parts(match["values"].strip()[1:-1], line))
    size = count * DTYPES[kind].itemsize
    if size > MAX_VARIABLE:
        raise PTXError(f"{match['name']} has {size:,} bytes, at most {MAX_VARIABLE:,}", line)
    if dynamic and match["space"] != "shared":
        raise PTXError(f"{match['name']} has no size", line)
    alignment = int(match["align"] or DTYPES[kind].itemsize * int(match["vector"] or 1))
    if alignment & (alignment - 1) or not alignment:
        raise PTXError(f"{alignment} is no alignment", line)
    values = _values(match["values"], kind, size, line) if match["values"] else b""
    return Variable(match["name"], match["space"], None if dynamic else size, alignment, line, values)


def _values(text: str, kind: str, size: int, line: int) -> bytes:
    dtype = DTYPES[kind]
    items = parts(text.strip().replace("{", " ").replace("}", " "), line)
    result = bytearray()
    for item in items:
        value = literal(item, line)
        if value is None:
            raise PTXError(f"initial values are numbers, and not {item[:60]}", line)
        result += (value.value % (1 << 8 * dtype.itemsize)).to_bytes(dtype.itemsize, "little")
    if len(result) > size:
        raise PTXError("more initial values than elements", line)
    return bytes(result).ljust(size, b"\0")


def known_type(kind: str, line: int) -> str:
    """The type, if the emulator knows it."""
    if kind not in DTYPES:
        raise PTXError(f".{kind} is no type that the emulator knows", line)
    return kind


def read_parameters(text: str, line: int) -> Iterator[tuple[str, str, int, int]]:
    """Name, type, size and alignment of each parameter."""
    for item in text.split(",") if text.strip() else ():
        match = _PARAMETER.fullmatch(item.strip())
        if match is None:
            raise PTXError(f"cannot read the parameter {item.strip()[:100]!r}", line)
        width = DTYPES[known_type(match[2], line)].itemsize
        size = width * int(match[4] or 1)
        if size > MAX_VARIABLE:
            raise PTXError(f"the parameter {match[3]} has {size:,} bytes", line)
        yield match[3], match[2], size, int(match[1] or width) or 1
