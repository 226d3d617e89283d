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
from netdsl.cuda.codegen.streams import Streams, stored
from netdsl.cuda.step import Parameter
from netdsl.ir import TensorType
from netdsl.scalar import Arg, Expr
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View, dense_strides


@dataclass(frozen=True)
class Finish:
    """What a source needs to know: the tape, whose operand 0 is the sum, and the dtypes of its streams.

    The rows of the result are `dims` axes, its channels one more.
    """

    tape: Tape
    dtypes: tuple[Dtype, ...]
    dims: int

    @property
    def streams(self) -> Streams:
        """The streams of the tape; operand 0 is the sum."""
        return Streams(self.tape, self.dtypes, 1)

    def parameters(self) -> list[Parameter]:
        """Pointers, sizes and strides."""
        streams = self.streams
        starts = [Parameter(f"start{k}", "i64") for k in range(len(self.dtypes), streams.count)]
        return [*streams.pointers(), *starts, *nest_parameters(self.dims + 1, streams.count)]

    def emit(self, out: Lines, total: str, row: str, column: str, shift: str = "") -> None:
        """Compute and store an element; row and column are uint32, `shift` is added to its place."""
        at = [*coordinates(out, row, self.dims), column]
        result = len(self.dtypes) - 1

        def found(stream: int) -> str:
            element = place(out, stream, at)
            return out.let(f"start{stream} + {element}") if stream > result else element

        leaf = self.streams.leaf(out, found)
        (value,) = evaluated(
            out, self.tape, lambda kind, k: total if (kind, k) == ("arg", 0) else leaf(kind, k)
        )
        out.add(f"p{result}[{place(out, result, at)}{shift}] = {stored(value, self.dtypes[result])}")


@dataclass(frozen=True)
class Ending:
    """A `Finish` with its arguments."""

    finish: Finish
    values: dict[str, int]
    slots: dict[str, Slot]


def ending(epilogue: Expr | None, operands: Sequence[View], result: View, box: Box) -> Ending:
    """The end of a contraction over a box of the result; operands are those of the epilogue."""
    sources: tuple[Dtype, ...] = ("f32", *(v.type.dtype for v in operands))
    program = tape([Arg(0) if epilogue is None else epilogue], sources, [result.type.dtype])
    read = [operands[k - 1] for k in program.args() if k]
    views = [box.of(v, result.shape) for v in (*read, result)]
    counters = [tuple(int(k == a) for k in range(len(result.shape))) for a in program.axes()]
    counters += [dense_strides(result.shape, 1)] if program.random() else []
    streams = [*(v.strides for v in views), *map(box.steps, counters)]
    items = [*(v.item for v in views), *[1] * len(counters)]
    rows = axes_of(box.count[:-1], [s[:-1] for s in streams])
    columns = Axis(box.count[-1], False, tuple(s[-1] for s in streams))
    values = nest_values([*rows, columns], items)
    values |= {f"start{k}": box.start(c) for k, c in enumerate(counters, len(views))}
    slots = {f"p{k}": Slot(v, k == len(read)) for k, v in enumerate(views)}
    return Ending(Finish(program, tuple(v.type.dtype for v in views), len(rows)), values, slots)


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
