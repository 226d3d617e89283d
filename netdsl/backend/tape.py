"""Tapes: scalar expressions in order of computation, each distinct part once, for the printers of devices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from netdsl.cost import operation_work
from netdsl.scalar import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where, walk
from netdsl.scalar.operators import FIXED, Dtype
from netdsl.scalar.walk import children, node_dtype
from netdsl.schedule import dense_strides


@dataclass(frozen=True)
class Instruction:
    """One value: an operator, what it needs beside operands, and the numbers of the lines it reads."""

    op: str
    detail: tuple[int | str, ...]
    kids: tuple[int, ...]
    dtype: Dtype


@dataclass(frozen=True)
class Tape:
    """Expressions over typed operands in order of computation, common subexpressions merged."""

    lines: tuple[Instruction, ...]
    results: tuple[int, ...]

    @cached_property
    def key(self) -> str:
        """A hash of the content."""
        return hashlib.sha256(repr((self.lines, self.results)).encode()).hexdigest()[:24]

    def work(self) -> int:
        """About how many additions an element costs."""
        return sum(operation_work(line.op) for line in self.lines if line.kids)

    def args(self) -> tuple[int, ...]:
        """The operands that are read, ascending."""
        return tuple(sorted({int(line.detail[0]) for line in self.lines if line.op == "arg"}))

    def counters(self) -> list[tuple[str, int]]:
        """The leaves that count elements: ("index", axis), ascending, and ("flat", 0), of which numbers are drawn."""
        axes = sorted({int(line.detail[0]) for line in self.lines if line.op == "index"})
        drawn = any(line.op == "uniform" for line in self.lines)
        return [*(("index", axis) for axis in axes), *([("flat", 0)] if drawn else [])]

    def counter_strides(self, space: Sequence[int]) -> list[tuple[int, ...]]:
        """What each of the counters gains along each axis of a space."""
        return [
            dense_strides(space, 1) if kind == "flat" else tuple(int(k == axis) for k in range(len(space)))
            for kind, axis in self.counters()
        ]

    def leaves(self) -> list[tuple[str, int]]:
        """All that it takes: ("arg", operand), ascending, then the counters."""
        return [*(("arg", k) for k in self.args()), *self.counters()]


def tape(expressions: Sequence[Expr], operands: Sequence[Dtype], as_types: Sequence[Dtype]) -> Tape:
    """The tape of several expressions whose results are cast to `as_types`."""
    return _tape(tuple(expressions), tuple(operands), tuple(as_types))


@lru_cache(maxsize=8192)  # networks repeat their layers
def _tape(expressions: tuple[Expr, ...], operands: tuple[Dtype, ...], as_types: tuple[Dtype, ...]) -> Tape:
    lines: list[Instruction] = []
    known: dict[Instruction, int] = {}

    def add(op: str, detail: tuple[int | str, ...], kids: tuple[int, ...], dtype: Dtype) -> int:
        line = Instruction(op, detail, kids, dtype)
        if line not in known:
            known[line] = len(lines)
            lines.append(line)
        return known[line]

    at: dict[int, int] = {}
    results = []
    for e, wanted in zip(expressions, as_types, strict=True):
        for x in walk(e):
            kids = tuple(at[id(k)] for k in children(x))
            dtype = node_dtype(x, [lines[k].dtype for k in kids], operands)
            op, detail = _label(x)
            at[id(x)] = kids[0] if op in FIXED else add(op, detail, kids, dtype)
        root = at[id(e)]
        results.append(root if lines[root].dtype == wanted else add("cast", (), (root,), wanted))
    return Tape(tuple(lines), tuple(results))


def _label(x: Expr) -> tuple[str, tuple[int | str, ...]]:
    match x:
        case Arg(index=i):
            return "arg", (i,)
        case Index(axis=axis):
            return "index", (axis,)
        case Lit(value=v):
            return "lit", (repr(v),)
        case Uniform(stream=stream, word=word):
            return "uniform", (stream & 0xFFFFFFFF, word)
        case Where():
            return "where", ()
        case Unary(op=op) | Binary(op=op):
            return op, ()
    raise TypeError(f"not an expression: {x!r}")
