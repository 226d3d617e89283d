"""The body of a kernel while it is written: lines of Python that `numba.cuda` compiles.

What numba.cuda is given is text, since a kernel is a choice of operators, axes and tiles that is only known from
the network; nothing of a file goes into it but numbers and the operators of `netdsl.scalar`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import dedent

from netdsl.backend.tape import Tape
from netdsl.cuda.step import Parameter, Source


class Lines:
    """Lines with their indentation; `let` names a value, and every value has a name of its own."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._names = 0
        self.tapes: list[Tape] = []

    def add(self, line: str) -> None:
        """One more line."""
        self._lines.append("    " * self._depth + line)

    def write(self, text: str) -> None:
        """Several lines, indented to each other as they are in the text."""
        for line in dedent(text).strip("\n").splitlines():
            self.add(line)

    def let(self, expression: str) -> str:
        """Compute a value; returns its name."""
        name = self.fresh()
        self.add(f"{name} = {expression}")
        return name

    def fresh(self) -> str:
        """A name that nothing has."""
        self._names += 1
        return f"v{self._names - 1}"

    def call(self, program: Tape, values: Sequence[str]) -> list[str]:
        """Compute a tape of values; the names of its results."""
        if program not in self.tapes:
            self.tapes.append(program)
        names = [self.fresh() for _ in program.results]
        given = "".join(f"{v}, " for v in values)
        self.add(f"{', '.join(names)}, = tape{self.tapes.index(program)}(({given}))")
        return names

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """The lines of a function, a loop or a condition: `with lines.block("if i < n"):`."""
        self.add(f"{head}:")
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def kernel(self, parameters: Sequence[Parameter]) -> Iterator[None]:
        """The lines of the kernel."""
        with self.block(f"def kernel({', '.join(p.name for p in parameters)})"):
            yield

    def source(self, parameters: Sequence[Parameter], bounds: tuple[int, int] | None = None) -> Source:
        """The kernel, with the tapes that it calls."""
        return Source(self.text(), tuple(parameters), bounds, tuple(self.tapes))

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self._lines)
