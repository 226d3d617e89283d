"""The end of a contraction: an expression of the sum and of operands that broadcast to the result, and the store.

Every expression of a `Contract` is printed into the kernel, whatever its operands, coordinates and random numbers:
sums lie in shared memory by then, so that the expression is in the source once and takes no registers of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.backend.axes import Axis, axes_of
from netdsl.backend.step import Slot
from netdsl.backend.tape import Tape, tape
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import coordinates, nest_parameters, nest_values, place
from netdsl.cuda.codegen.scalar import evaluated
from netdsl.cuda.codegen.streams import Streams, element, stored
from netdsl.cuda.codegen.wide import in_fours
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.step import Parameter
from netdsl.ir import TensorType
from netdsl.scalar import Arg, Expr
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

MOST_LINES = 40
"""Of a tape that is printed for four channels at once; a longer one takes its time for computing, not for memory."""


@dataclass(frozen=True)
class Finish:
    """What a source needs to know: the tape, whose operand 0 is the sum, and the dtypes of its streams.

    The rows of the result are `dims` axes, its channels one more.  `wide` says for each operand that is read, and for
    the result, whether four channels are read or written at once.
    """

    tape: Tape
    dtypes: tuple[Dtype, ...]
    dims: int
    wide: tuple[bool, ...]

    @property
    def width(self) -> int:
        """Channels that are computed at once."""
        return LANES if self.wide[-1] else 1

    @property
    def streams(self) -> Streams:
        """The streams of the tape; operand 0 is the sum."""
        return Streams(self.tape, self.dtypes, 1)

    def parameters(self) -> list[Parameter]:
        """Pointers, sizes and strides."""
        streams = self.streams
        starts = [Parameter(f"start{k}", "i64") for k in range(len(self.dtypes), streams.count)]
        return [*streams.pointers(), *starts, *nest_parameters(self.dims + 1, streams.count)]

    def declare(self, out: Lines) -> None:
        """Write what goes before any loop."""
        for k, wide in enumerate(self.wide):
            if wide:
                out.add(f"e{k} = cuda.local.array({LANES}, float32)")

    def emit(self, out: Lines, totals: Sequence[str], row: str, column: str, shift: str = "") -> None:
        """Compute and store `width` channels; row and first column are uint32, `shift` is added to the place."""
        result, rows = len(self.dtypes) - 1, coordinates(out, row, self.dims)
        for k, wide in enumerate(self.wide[:-1]):
            if wide:
                out.add(f"take4(e{k}, 0, p{k}, int32({place(out, k, [*rows, column])}), 0)")
        for q, total in enumerate(totals):
            at = [*rows, out.let(f"uint32({column} + {q})") if q else column]
            value = stored(self._value(out, total, q, at), self.dtypes[result])
            target = f"e{result}[{q}]" if self.wide[-1] else f"p{result}[{place(out, result, at)}{shift}]"
            out.add(f"{target} = {value}")
        if self.wide[-1]:
            out.add(f"put4(p{result}, int32({place(out, result, [*rows, column])}{shift}), e{result}, 0)")

    def _value(self, out: Lines, total: str, lane: int, at: Sequence[str]) -> str:
        """The element of a lane at coordinates."""
        streams, result = self.streams, len(self.dtypes) - 1

        def found(stream: int) -> str:
            here = place(out, stream, at)
            return out.let(f"start{stream} + {here}") if stream > result else here

        def load(stream: int) -> str:
            if self.wide[stream]:
                return f"e{stream}[{lane}]"
            return element(out, f"p{stream}[{found(stream)}]", self.dtypes[stream])

        leaf = streams.leaf(out, found, load)
        (value,) = evaluated(
            out, self.tape, lambda kind, k: total if (kind, k) == ("arg", 0) else leaf(kind, k)
        )
        return value


@dataclass(frozen=True)
class Ending:
    """A `Finish` with its arguments."""

    finish: Finish
    values: dict[str, int]
    slots: dict[str, Slot]


def ending(epilogue: Expr | None, operands: Sequence[View], result: View, box: Box, channels: int) -> Ending:
    """The end of a contraction over a box of the result, of which `channels` in a row belong to a group.

    `operands` are those of the epilogue.
    """
    sources: tuple[Dtype, ...] = ("f32", *(v.type.dtype for v in operands))
    program = tape([Arg(0) if epilogue is None else epilogue], sources, [result.type.dtype])
    read = [operands[k - 1] for k in program.args() if k]
    views = [box.of(v, result.shape) for v in (*read, result)]
    counters = program.counter_strides(result.shape)
    streams = [*(v.strides for v in views), *map(box.steps, counters)]
    items = [*(v.item for v in views), *[1] * len(counters)]
    rows = axes_of(box.count[:-1], [s[:-1] for s in streams])
    columns = Axis(box.count[-1], False, tuple(s[-1] for s in streams))
    values = nest_values([*rows, columns], items)
    values |= {f"start{k}": box.start(c) for k, c in enumerate(counters, len(views))}
    slots = {f"p{k}": Slot(v, k == len(read)) for k, v in enumerate(views)}
    fours = [in_fours(v, channels) for v in views]
    if not fours[-1] or len(program.lines) > MOST_LINES:
        fours = [False] * len(views)
    return Ending(Finish(program, tuple(v.type.dtype for v in views), len(rows), tuple(fours)), values, slots)


@dataclass(frozen=True)
class Box:
    """The elements `first + i*step` of each axis of the result."""

    first: tuple[int, ...]
    step: tuple[int, ...]
    count: tuple[int, ...]

    def of(self, view: View, space: Sequence[int]) -> View:
        """The part of a view that broadcasts to the whole result."""
        spread = View(view.buffer, TensorType(tuple(space), view.type.dtype), view.over(space), view.offset)
        return spread.sliced(self.first, self.step, self.count)

    def start(self, strides: Sequence[int]) -> int:
        """What something with strides over the result has gained at the first element."""
        return sum(f * s for f, s in zip(self.first, strides, strict=True))

    def steps(self, strides: Sequence[int]) -> tuple[int, ...]:
        """What it gains along each axis of the box."""
        return tuple(d * s for d, s in zip(self.step, strides, strict=True))
