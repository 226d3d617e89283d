"""The parts of PTX text: types, operands and instructions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from netdsl.cuda.emulator.errors import PTXError

#: what NumPy computes with for each type of PTX; those that NumPy lacks are kept as bits
DTYPES: Final = {
    "pred": np.dtype(np.bool_),
    **{f"{k}{n}": np.dtype(f"u{n // 8}") for k in "bu" for n in (8, 16, 32, 64)},
    **{f"s{n}": np.dtype(f"i{n // 8}") for n in (8, 16, 32, 64)},
    **{f"f{n}": np.dtype(f"f{n // 8}") for n in (32, 64)},
    "bf16": np.dtype(np.uint16),
    "tf32": np.dtype(np.uint32),
    "bf16x2": np.dtype(np.uint32),
}


@dataclass(frozen=True, slots=True)
class Register:
    """A register, by its number in the kernel; `negated` is `!%p`."""

    index: int
    kind: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Immediate:
    """A literal: an integer, or the bits of a float of `width` bits."""

    value: int
    width: int = 0


@dataclass(frozen=True, slots=True)
class Special:
    """A special register such as `tid.x`."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in shared, local, param or global memory; `size` None is the dynamic shared memory."""

    name: str
    space: str
    size: int | None
    alignment: int
    line: int
    values: bytes = b""


@dataclass(frozen=True, slots=True)
class Address:
    """`[base + offset]`."""

    base: Register | Variable | Immediate
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Vector:
    """`{a, b}`, and `a|b` of shuffles and comparisons."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A label or a function; `_` is a result that nobody wants."""

    name: str


Operand: TypeAlias = Register | Immediate | Special | Variable | Address | Vector | Name


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One instruction; `source` is the file and line of the program that it comes from, with lineinfo."""

    line: int
    text: str
    guard: Register | None
    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    source: tuple[str, int] | None = None

    @property
    def name(self) -> str:
        """Opcode and modifiers, as written."""
        return ".".join((self.opcode, *self.modifiers))

    def refuse(self, why: str) -> PTXError:
        """The error that the emulator does not know this instruction."""
        return PTXError(f"{why}: {self.text}", self.line)


_STATEMENT = re.compile(r"(?:@\s*(!?)\s*([\w%$]+)\s+)?([a-z][\w.:]*)\s*(.*)", re.S)
_PART = re.compile(r"\s*(\{[^{}]*\}|\[[^\[\]]*\]|\([^()]*\)|[^,\s{}\[\]()]+)\s*(,|$)")
_INTEGER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,32}|\d{1,39})U?")
_FLOAT = re.compile(r"-?0([fF][0-9a-fA-F]{8}|[dD][0-9a-fA-F]{16})")
_DECIMAL = re.compile(r"-?\d{1,40}\.\d{0,40}([eE][+-]?\d{1,3})?")
_ADDRESS = re.compile(r"([\w%$]+)\s*(?:([+-])\s*(-?\s*\w+))?")
#: hints of caching and placement, which change no result
HINTS: Final = frozenset(
    [
        "nc",
        "ca",
        "cg",
        "cs",
        "lu",
        "cv",
        "wb",
        "wt",
        "weak",
        "L1::no_allocate",
        "L2::64B",
        "L2::128B",
        "L2::256B",
    ]
    + [f"{level}::evict_{how}" for level in ("L1", "L2") for how in ("first", "last", "normal", "unchanged")]
)


def statement(text: str, line: int) -> tuple[bool, str | None, str, list[str]]:
    """Read `@!%p opcode.modifiers a, b`: is the guard negated, the guard, the opcode with modifiers, the operands."""
    match = _STATEMENT.fullmatch(text)
    if match is None:
        raise PTXError(f"this is no instruction: {text[:200]}", line)
    return match[1] == "!", match[2], match[3], parts(match[4], line)


def parts(text: str, line: int) -> list[str]:
    """Split at the commas outside of brackets."""
    found, position, text = [], 0, text.strip()
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or (match[2] == "," and match.end() == len(text)):
            raise PTXError(f"cannot read the operands: {text[:200]}", line)
        found.append(match[1])
        position = match.end()
    return found


def integer(text: str, line: int) -> int:
    """An integer literal, decimal, octal or hexadecimal."""
    if not _INTEGER.fullmatch(text):
        raise PTXError(f"this is no integer: {text[:60]}", line)
    digits = text.rstrip("U")
    octal = re.fullmatch(r"-?0[0-7]+", digits)
    try:
        return int(digits, 8 if octal else 0)
    except ValueError:
        raise PTXError(f"this is no integer: {text[:60]}", line) from None


def literal(text: str, line: int) -> Immediate | None:
    """A literal, or None where the text is a name."""
    if _FLOAT.fullmatch(text):
        digits = text.lstrip("-")[2:]
        sign = 1 << (4 * len(digits) - 1) if text[0] == "-" else 0
        return Immediate(int(digits, 16) ^ sign, 4 * len(digits))
    if _DECIMAL.fullmatch(text):
        return Immediate(int(np.float64(text).view(np.uint64)), 64)
    if text[0].isdigit() or text[0] == "-":
        return Immediate(integer(text, line))
    return None


def operand(text: str, line: int, look_up: Callable[[str], Operand | None]) -> Operand:
    """Read one operand; names are looked up, and those that nobody knows are labels."""
    if text[0] == "{":
        return Vector(tuple(operand(t, line, look_up) for t in parts(text[1:-1], line)))
    if text[0] == "[":
        return _address(text[1:-1].strip(), line, look_up)
    if "|" in text:
        return Vector(tuple(operand(t, line, look_up) for t in text.split("|") if t))
    if text[0] == "!":
        found = look_up(text[1:])
        if not isinstance(found, Register):
            raise PTXError(f"no register is called {text[1:]}", line)
        return Register(found.index, found.kind, True)
    found = literal(text, line) or look_up(text)
    if found is not None:
        return found
    if text[0] != "%":
        return Name(text)
    special = text[1:]
    if special not in SPECIAL:
        raise PTXError(f"no register is called {text}", line)
    return Special(special)


def _address(text: str, line: int, look_up: Callable[[str], Operand | None]) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise PTXError(f"cannot read the address [{text[:200]}]", line)
    base = literal(match[1], line) or look_up(match[1])
    if not isinstance(base, Register | Variable | Immediate):
        raise PTXError(f"nothing is called {match[1]}", line)
    offset = integer(match[3].replace(" ", ""), line) if match[3] else 0
    return Address(base, -offset if match[2] == "-" else offset)


#: special registers that kernels may read
SPECIAL: Final = frozenset(
    [f"{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"] + ["laneid", "warpid"]
)
