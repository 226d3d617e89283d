"""The end of a contraction: an expression of the sum and of operands that broadcast to the result, and the store.

Every expression of a `Contract` is printed into the kernel, whatever its operands, coordinates and random numbers:
sums lie in shared memory by then, so that the expression is in the source once and takes no registers of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netdsl.backend.axes import Axis, axes_of
from netdsl.backend.step import Slot
from netdsl.backend.tape import Tape, tape
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import coordinates, nest_parameters, nest_values, place
from netdsl.cuda.codegen.scalar import Printer
from netdsl.cuda.kernels.map import element, stored
from netdsl.cuda.step import Parameter
from netdsl.ir import TensorType
from netdsl.scalar import Arg, Expr
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View, dense_strides


@dataclass(frozen=True)
class Finish:
    """What a source needs to know: streams are the operands that are read, the result and the counters.

    Operand 0 of the tape is the sum.  The rows of the result are `dims` axes, its channels one more.
    """

    tape: Tape
    dtypes: tuple[Dtype, ...]
    dims: int

    @property
    def used(self) -> dict[int, int]:
        """The operands that are read, the sum apart, and the number of the stream of each."""
        return {old: new for new, old in enumerate(k for k in self.tape.args() if k)}

    @property
    def counters(self) -> list[tuple[str, int]]:
        """The coordinates that are used, and the flat index where random numbers are drawn."""
        return [("index", a) for a in self.tape.axes()] + ([("flat", 0)] if self.tape.random() else [])

    def parameters(self) -> list[Parameter]:
        """Pointers, sizes and strides."""
        pointers = [Parameter(f"p{k}", to=dtype) for k, dtype in enumerate(self.dtypes)]
        starts = [Parameter(f"start{k}", "i64") for k in range(len(self.counters))]
        streams = len(self.dtypes) + len(self.counters)
        return [*pointers, *starts, *nest_parameters(self.dims + 1, streams)]

    def emit(self, out: Lines, total: str, row: str, column: str, shift: str = "") -> None:
        """Compute and store an element; row and column are uint32, `shift` is added to its place."""
        at = [*coordinates(out, row, self.dims), column]
        result = len(self.dtypes) - 1

        def leaf(kind: str, number: int) -> str:
            if kind == "arg" and number == 0:
                return total
            if kind == "arg":
                return element(out, self.used[number], self.dtypes[self.used[number]], at)
            k = self.counters.index((kind, number))
            found = out.let(f"start{k} + {place(out, result + 1 + k, at)}")
            return found if kind == "index" else out.let(f"uint32({found})")

        (value,) = Printer(out, leaf).print(self.tape)
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
    finish = Finish(program, (), 1)
    views = [box.of(operands[k - 1], result.shape) for k in finish.used]
    views.append(box.of(result, result.shape))
    counters = [_counter(kind, axis, result.shape) for kind, axis in finish.counters]
    starts = [sum(f * s for f, s in zip(box.first, strides, strict=True)) for strides in counters]
    steps = [tuple(d * s for d, s in zip(box.step, strides, strict=True)) for strides in counters]
    streams = [*(v.strides for v in views), *steps]
    items = [*(v.item for v in views), *[1] * len(steps)]
    rows = axes_of(box.count[:-1], [s[:-1] for s in streams])
    columns = Axis(box.count[-1], False, tuple(s[-1] for s in streams))
    values = nest_values([*rows, columns], items) | {f"start{k}": start for k, start in enumerate(starts)}
    slots = {f"p{k}": Slot(v, k == len(views) - 1) for k, v in enumerate(views)}
    return Ending(replace(finish, dtypes=tuple(v.type.dtype for v in views), dims=len(rows)), values, slots)


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


def _counter(kind: str, axis: int, space: Sequence[int]) -> tuple[int, ...]:
    """What a counter gains along each axis of the result."""
    return dense_strides(space, 1) if kind == "flat" else tuple(int(k == axis) for k in range(len(space)))
