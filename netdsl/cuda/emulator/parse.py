"""PTX text as kernels: lists of instructions, with the device functions that they call in place of the calls."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from netdsl.cuda.emulator.declarations import VARIABLE, declared, known_type, read_parameters
from netdsl.cuda.emulator.errors import PTXError
from netdsl.cuda.emulator.operands import (
    Instruction,
    Name,
    Operand,
    Register,
    Variable,
    Vector,
    operand,
    parts,
    statement,
)

MAX_TEXT: Final = 64_000_000
"""Characters of a module; the longest of ours has 300,000."""

MAX_REGISTERS: Final = 100_000
"""Registers of one kernel, those of called functions counted at each call."""

MAX_INSTRUCTIONS: Final = 500_000
"""Instructions of one kernel, after calls are replaced."""

MAX_DEPTH: Final = 50
"""Functions that call each other, and braces in braces."""


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
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def parameter_size(self) -> int:
        """Bytes of the block of arguments."""
        return max((p.offset + p.size for p in self.parameters), default=0)


@dataclass(frozen=True)
class _Function:
    name: str
    line: int
    entry: bool
    results: str
    parameters: str
    attributes: str
    start: int | None  # where the body begins; None is a declaration


_HEAD = re.compile(
    r"(?:\.(?:visible|weak|extern|common|noreturn)\s+)*\.(?P<kind>entry|func)\s+(?:\((?P<results>[^()]*)\)\s*)?"
    r"(?P<name>[\w$]+)\s*(?:\((?P<parameters>[^()]*)\))?(?P<attributes>[^{};]*)(?P<end>[{;])"
)
_LINE_DIRECTIVE = re.compile(r"\.(version|target|address_size|file|loc)\b([^\n]*)")
_SECTION = re.compile(r"\.section\s+[\w.$]+\s*\{[^{}]*\}|\.pragma[^;\n]*;|\.alias[^;\n]*;")
_LABEL = re.compile(r"([\w$]+)\s*:(?!:)")
_STATEMENT = re.compile(r"[^;{}]*(?:\{[^;{}]*\}[^;{}]*)*;")
_BLANK = re.compile(r"\s+")
_FILE = re.compile(r'\s+(\d+)\s+"([^"\n]*)"')


class Text:
    """One module: its variables, the heads of its functions, its source files."""

    def __init__(self, ptx: str) -> None:
        if len(ptx) > MAX_TEXT:
            raise PTXError(f"{len(ptx):,} characters, at most {MAX_TEXT:,}")
        blank = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
        self.text = blank.sub(lambda m: "\n" * m[0].count("\n") or " ", ptx)
        self._lines = [m.start() for m in re.finditer("\n", self.text)]
        self.variables: dict[str, Variable] = {}
        self.functions: dict[str, _Function] = {}
        self.files = {int(m[1]): m[2] for m in re.finditer(r'\.file\s+(\d{1,9})\s+"([^"\n]*)"', self.text)}
        self._read()
        if not any(f.entry for f in self.functions.values()):
            raise PTXError("no .entry in this text")

    def line(self, position: int) -> int:
        """The line of a position in the text, from 1."""
        return bisect_right(self._lines, position - 1) + 1

    def _read(self) -> None:
        position = 0
        while position < len(self.text):
            if blank := _BLANK.match(self.text, position):
                position = blank.end()
            elif skipped := _SECTION.match(self.text, position) or _LINE_DIRECTIVE.match(self.text, position):
                position = skipped.end()
            elif head := _HEAD.match(self.text, position):
                position = self._function(head)
            else:
                end = _STATEMENT.match(self.text, position)
                line = self.line(position)
                variable = end and VARIABLE.fullmatch(end[0][:-1].strip())
                if not end or not variable:
                    raise PTXError(f"cannot read {self.text[position : position + 60]!r}", line)
                found = declared(variable, line)
                self.variables[found.name] = found
                position = end.end()

    def _function(self, head: re.Match[str]) -> int:
        line, start = self.line(head.start()), head.end() if head["end"] == "{" else None
        found = _Function(
            head["name"],
            line,
            head["kind"] == "entry",
            head["results"] or "",
            head["parameters"] or "",
            head["attributes"],
            start,
        )
        known = self.functions.get(found.name)
        if known and known.start is not None and start is not None:
            raise PTXError(f"{found.name} is defined twice", line)
        if not known or start is not None:
            self.functions[found.name] = found
        return head.end() if start is None else self._closing(start, line)

    def _closing(self, position: int, line: int) -> int:
        depth = 1
        for brace in re.compile(r"[{}]").finditer(self.text, position):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                return brace.end()
        raise PTXError("this function does not end", line)

    def kernels(self) -> dict[str, Body]:
        """The kernels by name."""
        return {f.name: _Reader(self, f).body for f in self.functions.values() if f.entry}


class _Reader:
    """Reads the body of a kernel, and those of the functions that it calls at each call."""

    def __init__(self, text: Text, function: _Function) -> None:
        self.text, offset = text, 0
        found = []
        for name, kind, size, alignment in read_parameters(function.parameters, function.line):
            offset = -(-offset // alignment) * alignment
            found.append(Parameter(name, kind, offset, size))
            offset += size
        bound = re.search(
            r"\.(?:max|req)ntid\s+(\d{1,6})(?:\s*,\s*(\d{1,6}))?(?:\s*,\s*(\d{1,6}))?", function.attributes
        )
        threads = 1
        for each in bound.groups() if bound else ("1024",):
            threads *= int(each or 1)
        self.body = Body(function.name, function.line, tuple(found), threads)
        self.active: list[str] = []
        formals = {
            p.name: Variable(p.name, "kernel_param", p.size, 1, function.line) for p in self.body.parameters
        }
        self.calls = 0
        self.read(function, formals)

    def read(self, function: _Function, formals: Mapping[str, Operand]) -> None:
        """Append the instructions of a function, in which the formal parameters stand for variables of the caller."""
        if function.name in self.active:
            raise PTXError(f"{function.name} calls itself", function.line)
        if function.start is None:
            raise PTXError(f"{function.name} is called and not defined in this text", function.line)
        self.active.append(function.name)
        scopes: list[dict[str, Operand]] = [dict(self.text.variables), dict(formals), {}]
        self.calls += 1
        prefix = f"{self.calls}:"
        position, source, text = function.start, None, self.text.text
        while len(scopes) > 2:
            if blank := _BLANK.match(text, position):
                position = blank.end()
            elif text[position] in "{}":
                scopes.append({}) if text[position] == "{" else scopes.pop()
                if len(scopes) > MAX_DEPTH:
                    raise PTXError("too many braces in braces", self.text.line(position))
                position += 1
            elif label := _LABEL.match(text, position):
                position = label.end()
                if table := re.compile(r"\s*\.branchtargets([^;{}]*);").match(text, position):
                    names = parts(table[1], self.text.line(position))
                    self.body.tables[prefix + label[1]] = tuple(prefix + name for name in names)
                    position = table.end()
                elif prefix + label[1] in self.body.labels:
                    raise PTXError(f"the label {label[1]} is there twice", self.text.line(position))
                self.body.labels[prefix + label[1]] = len(self.body.instructions)
            elif directive := _LINE_DIRECTIVE.match(text, position):
                if directive[1] == "loc" and (numbers := re.match(r"\s+(\d{1,9})\s+(\d{1,9})", directive[2])):
                    source = (self.text.files.get(int(numbers[1]), "?"), int(numbers[2]))
                position = directive.end()
            elif skipped := _SECTION.match(text, position):
                position = skipped.end()
            else:
                end = _STATEMENT.match(text, position)
                if end is None:
                    raise PTXError("this statement does not end", self.text.line(position))
                self._statement(end[0][:-1].strip(), self.text.line(position), scopes, prefix, source)
                position = end.end()
        self.body.labels[prefix] = len(self.body.instructions)
        self.active.pop()

    def _statement(
        self,
        text: str,
        line: int,
        scopes: list[dict[str, Operand]],
        prefix: str,
        source: tuple[str, int] | None,
    ) -> None:
        if text.startswith(".reg"):
            self._registers(text[4:], line, scopes[-1])
        elif text.startswith("."):
            variable = VARIABLE.fullmatch(text)
            if variable is None:
                raise PTXError(f"cannot read {text[:100]!r}", line)
            found = declared(variable, line)
            scopes[-1][found.name] = found
        else:
            self._instruction(text, line, scopes, prefix, source)

    def _registers(self, text: str, line: int, scope: dict[str, Operand]) -> None:
        match = re.fullmatch(r"\s*\.(\w+)\s+(.*)", text, re.S)
        if match is None:
            raise PTXError(f"cannot read .reg{text[:100]}", line)
        kind = known_type(match[1], line)
        for item in match[2].split(","):
            name = re.fullmatch(r"\s*([%\w$]+)\s*(?:<\s*(\d{1,9})\s*>)?\s*", item)
            if name is None:
                raise PTXError(f"cannot read the register {item.strip()[:60]!r}", line)
            count = int(name[2]) if name[2] else 1
            if count + len(self.body.kinds) > MAX_REGISTERS:
                raise PTXError(f"more than {MAX_REGISTERS:,} registers", line)
            for k in range(count):
                scope[f"{name[1]}{k}" if name[2] else name[1]] = Register(len(self.body.kinds), kind)
                self.body.kinds.append(kind)

    def _instruction(
        self,
        text: str,
        line: int,
        scopes: list[dict[str, Operand]],
        prefix: str,
        source: tuple[str, int] | None,
    ) -> None:
        def look_up(name: str) -> Operand | None:
            return next((scope[name] for scope in reversed(scopes) if name in scope), None)

        negated, guard_name, name, words = statement(text, line)
        guard = look_up(guard_name) if guard_name else None
        if guard_name and not (isinstance(guard, Register) and guard.kind == "pred"):
            raise PTXError(f"no predicate is called {guard_name}", line)
        if isinstance(guard, Register) and negated:
            guard = Register(guard.index, guard.kind, True)
        opcode, *modifiers = re.split(r"\.(?!\.)", name)
        operands = tuple(operand(word, line, look_up) for word in words)
        if opcode in ("bra", "brx"):
            operands = tuple(Name(prefix + o.name) if isinstance(o, Name) else o for o in operands)
        found = Instruction(
            line,
            " ".join(text.split()),
            guard if isinstance(guard, Register) else None,
            opcode,
            tuple(modifiers),
            operands,
            source,
        )
        if opcode == "call":
            self._call(found)
            return
        if opcode == "ret" and len(self.active) > 1:
            found = Instruction(line, found.text, found.guard, "bra", ("uni",), (Name(prefix),), source)
        self.body.instructions.append(found)
        if len(self.body.instructions) > MAX_INSTRUCTIONS:
            raise PTXError(f"more than {MAX_INSTRUCTIONS:,} instructions", line)

    def _call(self, call: Instruction) -> None:
        operands = list(call.operands)
        results = operands.pop(0) if operands and isinstance(operands[0], Vector) else Vector(())
        target = operands.pop(0) if operands else None
        arguments = operands.pop(0) if operands else Vector(())
        if call.guard or operands or not isinstance(target, Name) or not isinstance(arguments, Vector):
            raise call.refuse("the emulator knows no such call")
        function = self.text.functions.get(target.name)
        if function is None or function.start is None:
            raise call.refuse(f"{target.name} is called and not defined in this text")
        if len(self.active) > MAX_DEPTH:
            raise call.refuse("too many calls in calls")
        formals: dict[str, Operand] = {}
        for text, actual in ((function.results, results), (function.parameters, arguments)):
            assert isinstance(actual, Vector)
            names = [name for name, *_ in read_parameters(text, function.line)]
            if len(names) != len(actual.items) or not all(isinstance(a, Variable) for a in actual.items):
                raise call.refuse(f"{function.name} takes {len(names)} variables of space .param here")
            formals |= dict(zip(names, actual.items, strict=True))
        self.read(function, formals)


def parse(ptx: str) -> tuple[dict[str, Variable], dict[str, Body]]:
    """Read a module: its variables and its kernels by name.

    Raises PTXError for what is not PTX, and for calls of functions that the text does not define (`vprintf`).
    """
    text = Text(ptx)
    return text.variables, text.kernels()
