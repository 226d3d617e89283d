"""The innermost loop: elements of streams into a tape and out again, by whole vectors and one masked tail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from netdsl.cpu.emit import F32, I8, I32, I64, Emitter, Int, Value
from netdsl.cpu.scalar_emit import Printer, Tape
from netdsl.ir.types import ITEM_SIZE

_MEMORY = {"f32": F32, "i64": I64, "bool": I8}


@dataclass(frozen=True)
class Program:
    """A tape and the streams it reads: per stream its code (`f32v`, `i64s`, `index0v`...) and what it feeds.

    `feeds` maps ("arg", n), ("index", axis) and ("flat", 0) to positions among the streams.
    """

    tape: Tape
    codes: tuple[str, ...]
    feeds: tuple[tuple[tuple[str, int], int], ...]
    width: int

    def key(self) -> str:
        """Names the content."""
        feeds = ",".join(f"{kind}{n}:{at}" for (kind, n), at in self.feeds)
        return f"{self.tape.key()}/{'.'.join(self.codes)}/{feeds}/{self.width}"


class BodyCode:
    """Emits the evaluation of a program at one place of the nest."""

    def __init__(self, e: Emitter, program: Program) -> None:
        self.e, self.program = e, program
        self.positions = dict(program.feeds)

    def vector(self, kind: str) -> ir.VectorType:
        """The vector type of an element kind in memory."""
        return ir.VectorType(_MEMORY[kind], self.program.width)

    def evaluate(self, addresses: Sequence[Value], count: Int | None) -> list[Value]:
        """The tape's results for the elements at `addresses`; only the first `count` of them when given."""

        def leaf(kind: str, number: int) -> Value:
            at = self.positions[kind, number]
            return self._read(self.program.codes[at], addresses[at], count)

        return Printer(self.e, self.program.width, leaf).print(self.program.tape)

    def _read(self, code: str, address: Value, count: Int | None) -> Value:
        kind, moves = code[:-1], code[-1] == "v"
        if kind in ("index", "flat"):
            return self._coordinate(kind, address, moves)
        if not moves:
            value = self.e.splat(self.e.load(_MEMORY[kind], address), self.program.width)
        elif count is None:
            value = self.e.load(self.vector(kind), address)
        else:
            value = self.e.load_part(self.vector(kind), address, count)
        return self.to_register(value, kind)

    def to_register(self, value: Value, kind: str) -> Value:
        """Bools are bytes in memory and bits in registers."""
        if kind != "bool":
            return value
        return self.e.b.icmp_unsigned("!=", value, ir.Constant(value.type, None))

    def _coordinate(self, kind: str, value: Value, moves: bool) -> Value:
        element = I32 if kind == "flat" else I64
        start = self.e.b.trunc(value, I32) if kind == "flat" else value
        lanes = self.e.splat(start, self.program.width)
        if not moves:
            return lanes
        iota = [ir.Constant(element, k) for k in range(self.program.width)]
        return self.e.b.add(lanes, ir.Constant(lanes.type, iota))

    def write(self, value: Value, kind: str, address: Value, count: Int | None) -> None:
        """Store a result."""
        if kind == "bool":
            value = self.e.b.zext(value, self.vector(kind))
        if count is None:
            self.e.store(value, address)
        else:
            self.e.store_part(value, address, count)

    def at_column(self, addresses: Sequence[Value], column: Int) -> list[Value]:
        """Addresses moved along the columns, for streams that move."""
        moved = []
        for code, address in zip(self.program.codes, addresses, strict=True):
            item = ITEM_SIZE.get(code[:-1], 1)
            moved.append(self.e.add(address, self.e.mul(column, item)) if code[-1] == "v" else address)
        return moved

    def sweep(
        self,
        columns: Value,
        vectors: int,
        body: Callable[[Value, int, Int | None], None],
        start: Int = 0,
    ) -> None:
        """Run `body(column, vectors, count)` over the columns: groups of vectors, single ones, then the tail."""
        e, width = self.e, self.program.width
        at = e.i64(start)
        for group in [vectors, 1] if vectors > 1 else [1]:
            step = group * width
            stop = e.add(at, e.mul(e.b.sdiv(e.sub(columns, at), e.i64(step)), step))
            with e.loop(at, stop, step) as loop:
                body(loop.index, group, None)
            at = stop
        if width > 1:
            with e.when(e.less(at, columns)):
                body(at, 1, e.sub(columns, at))
