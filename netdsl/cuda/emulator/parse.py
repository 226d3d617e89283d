"""PTX text as kernels: lists of instructions."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from netdsl.cuda.emulator.declarations import VARIABLE, declared, known_type, read_parameters
from netdsl.cuda.emulator.errors import PTXError
from netdsl.cuda.emulator.operands import (
    Instruction,
    Operand,
    Register,
    Variable,
    operand,
    statement,
)

MAX_TEXT: Final = 64_000_000
"""Characters of a module; the longest of ours has 300,000."""

MAX_REGISTERS: Final = 100_000
"""Registers of one kernel."""

MAX_INSTRUCTIONS: Final = 500_000
"""Instructions of one kernel."""

MAX_DEPTH: Final = 50
"""Braces in braces."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: its place in the block of arguments, in bytes, and its type (`b8` for arrays)."""

    name: str
    type: str
    offset: int
    size: int


@dataclass
class Body:
    """What a kernel executes; labels are indices of instructions."""

    name: str
    line: int
    parameters: tuple[Parameter, ...]
    max_threads: int
    kinds: list[str] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def parameter_size(self) -> int:
        """Bytes of the block of arguments."""
        return max((p.offset + p.size for p in self.parameters), default=0)


_HEAD = re.compile(
    r"(?:\.(?:visible|weak|extern)\s+)*\.entry\s+(?P<name>[\w$]+)\s*(?:\((?P<parameters>[^()]*)\))?"
    r"(?P<attributes>[^{};]*)\{"
)
_LINE_DIRECTIVE = re.compile(r"\.(version|target|address_size|file|loc)\b([^\n]*)")
_SECTION = re.compile(r"\.section\s+[\w.$]+\s*\{[^{}]*\}|\.pragma[^;\n]*;")
_LABEL = re.compile(r"([\w$]+)\s*:(?!:)")
_STATEMENT = re.compile(r"[^;{}]*(?:\{[^;{}]*\}[^;{}]*)*;")
_BLANK = re.compile(r"\s+")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_FILE = re.compile(r'\.file\s+(\d{1,9})\s+"([^"\n]*)"')
_BOUND = re.compile(r"\.(?:max|req)ntid\s+(\d{1,6})(?:\s*,\s*(\d{1,6}))?(?:\s*,\s*(\d{1,6}))?")
_REGISTER = re.compile(r"\s*([%\w$]+)\s*(?:<\s*(\d{1,9})\s*>)?\s*")


class _Reader:
    """Reads a module: its variables and the bodies of its kernels."""

    def __init__(self, ptx: str) -> None:
        if len(ptx) > MAX_TEXT:
            raise PTXError(f"{len(ptx):,} characters, at most {MAX_TEXT:,}")
        self.text = _COMMENT.sub(lambda m: "\n" * m[0].count("\n") or " ", ptx)
        self._lines = [m.start() for m in re.finditer("\n", self.text)]
        self.files = {int(m[1]): m[2] for m in _FILE.finditer(self.text)}
        self.variables: dict[str, Variable] = {}
        self.bodies: dict[str, Body] = {}
        self.scopes: list[dict[str, Operand]] = []
        self.source: tuple[str, int] | None = None
        self._module()
        if not self.bodies:
            raise PTXError("no .entry in this text")

    def line(self, position: int) -> int:
        """The line of a position in the text, from 1."""
        return bisect_right(self._lines, position - 1) + 1

    def _module(self) -> None:
        position = 0
        while position < len(self.text):
            if skipped := self._skipped(position):
                position = skipped
            elif head := _HEAD.match(self.text, position):
                position = self._kernel(head)
            else:
                line, (text, position) = self.line(position), self._statement(position)
                variable = VARIABLE.fullmatch(text)
                if variable is None:
                    raise PTXError(f"cannot read {text[:60]!r}", line)
                found = declared(variable, line)
                self.variables[found.name] = found

    def _skipped(self, position: int) -> int:
        """The end of what is no statement, 0 if there is one."""
        if match := _BLANK.match(self.text, position) or _SECTION.match(self.text, position):
            return match.end()
        directive = _LINE_DIRECTIVE.match(self.text, position)
        if directive is None:
            return 0
        if directive[1] == "loc" and (numbers := re.match(r"\s+(\d{1,9})\s+(\d{1,9})", directive[2])):
            self.source = (self.files.get(int(numbers[1]), "?"), int(numbers[2]))
        return directive.end()

    def _statement(self, position: int) -> tuple[str, int]:
        end = _STATEMENT.match(self.text, position)
        if end is None:
            rest = self.text[position : position + 60]
            raise PTXError(f"this statement does not end: {rest!r}", self.line(position))
        return end[0][:-1].strip(), end.end()

    def _kernel(self, head: re.Match[str]) -> int:
        """Read a kernel; return the position after it."""
        line, offset, found = self.line(head.start()), 0, []
        for name, kind, size, alignment in read_parameters(head["parameters"] or "", line):
            offset = -(-offset // alignment) * alignment
            found.append(Parameter(name, kind, offset, size))
            offset += size
        if head["name"] in self.bodies:
            raise PTXError(f"{head['name']} is defined twice", line)
        bound = _BOUND.search(head["attributes"])
        threads = math.prod(int(n or 1) for n in (bound.groups() if bound else ("1024",)))
        self.body = self.bodies[head["name"]] = Body(head["name"], line, tuple(found), threads)
        formals: dict[str, Operand] = {p.name: Variable(p.name, "param", p.size, 1, line) for p in found}
        self.scopes, self.source, position = [dict(self.variables), formals, {}], None, head.end()
        while len(self.scopes) > 2:
            position = self._next(position)
        return position

    def _next(self, position: int) -> int:
        """Read a label, a brace or a statement of a kernel; return the position after it."""
        if skipped := self._skipped(position):
            return skipped
        if self.text[position : position + 1] in ("{", "}"):
            self.scopes.append({}) if self.text[position] == "{" else self.scopes.pop()
            if len(self.scopes) > MAX_DEPTH:
                raise PTXError("too many braces in braces", self.line(position))
            return position + 1
        line = self.line(position)
        if label := _LABEL.match(self.text, position):
            if label[1] in self.body.labels:
                raise PTXError(f"the label {label[1]} is there twice", line)
            self.body.labels[label[1]] = len(self.body.instructions)
            return label.end()
        text, end = self._statement(position)
        if text.startswith(".reg"):
            self._registers(text[4:], line)
        elif text.startswith("."):
            variable = VARIABLE.fullmatch(text)
            if variable is None:
                raise PTXError(f"cannot read {text[:100]!r}", line)
            found = declared(variable, line)
            self.scopes[-1][found.name] = found
        else:
            self._instruction(text, line)
        return end

    def _registers(self, text: str, line: int) -> None:
        match = re.fullmatch(r"\s*\.(\w+)\s+(.*)", text, re.S)
        if match is None:
            raise PTXError(f"cannot read .reg{text[:100]}", line)
        kind, kinds = known_type(match[1], line), self.body.kinds
        for item in match[2].split(","):
            name = _REGISTER.fullmatch(item)
            if name is None:
                raise PTXError(f"cannot read the register {item.strip()[:60]!r}", line)
            count = int(name[2]) if name[2] else 1
            if count + len(kinds) > MAX_REGISTERS:
                raise PTXError(f"more than {MAX_REGISTERS:,} registers", line)
            for k in range(count):
                self.scopes[-1][f"{name[1]}{k}" if name[2] else name[1]] = Register(len(kinds), kind)
                kinds.append(kind)

    def _look_up(self, name: str) -> Operand | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def _instruction(self, text: str, line: int) -> None:
        negated, guard_name, name, words = statement(text, line)
        guard = self._look_up(guard_name) if guard_name else None
        if guard_name and not (isinstance(guard, Register) and guard.kind == "pred"):
            raise PTXError(f"no predicate is called {guard_name}", line)
        guard = Register(guard.index, guard.kind, negated) if isinstance(guard, Register) else None
        opcode, *modifiers = re.split(r"\.(?!\.)", name)
        operands = tuple(operand(word, line, self._look_up) for word in words)
        written = " ".join(text.split())
        self.body.instructions.append(
            Instruction(line, written, guard, opcode, tuple(modifiers), operands, self.source)
        )
        if len(self.body.instructions) > MAX_INSTRUCTIONS:
            raise PTXError(f"more than {MAX_INSTRUCTIONS:,} instructions", line)


def parse(ptx: str) -> tuple[dict[str, Variable], dict[str, Body]]:
    """Read a module: its variables and its kernels by name; raises PTXError for what is not PTX."""
    found = _Reader(ptx)
    return found.variables, found.bodies
