"""What a tape reads and writes in a kernel: elements of operands and results, and counters, each with strides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netdsl.backend.tape import Tape
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.step import Parameter
from netdsl.scalar.operators import Dtype


class Streams:
    """The streams of a tape by number: the operands that are read, the results, then the counters.

    `dtypes` are those of operands and results; a counter is a coordinate of the space or the flat index.
    The operands before number `first` are none: the kernel computes them itself.
    """

    def __init__(self, program: Tape, dtypes: Sequence[Dtype], first: int = 0) -> None:
        self.dtypes = dtypes
        self._used = {old: new for new, old in enumerate(k for k in program.args() if k >= first)}
        self._counters = program.counters()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.dtypes) + len(self._counters)

    @property
    def reads(self) -> int:
        """How many operands are read."""
        return len(self._used)

    def pointers(self) -> list[Parameter]:
        """The addresses of operands and results."""
        return [Parameter(f"p{k}", to=dtype) for k, dtype in enumerate(self.dtypes)]

    def leaf(
        self, out: Lines, place: Callable[[int], str], load: Callable[[int], str] | None = None
    ) -> Callable[[str, int], str]:
        """The values that a tape takes, where `place` names the element of a stream by its number.

        `load` names the value of an operand by the number of its stream; without it, the element is loaded.
        """

        def found(kind: str, number: int) -> str:
            if kind == "arg":
                stream = self._used[number]
                if load is not None:
                    return load(stream)
                return element(out, f"p{stream}[{place(stream)}]", self.dtypes[stream])
            at = place(len(self.dtypes) + self._counters.index((kind, number)))
            return at if kind == "index" else out.let(f"uint32({at})")

        return found


def element(out: Lines, loaded: str, dtype: Dtype) -> str:
    """The value of an element that is loaded; conditions are stored as bytes."""
    found = out.let(loaded)
    return out.let(f"{found} != uint8(0)") if dtype == "bool" else found


def stored(name: str, dtype: Dtype) -> str:
    """A value as it is stored."""
    return f"uint8({name})" if dtype == "bool" else name
