"""The second pass over sums in parts: adds up the parts, in an order that follows from their number, and finishes."""

from __future__ import annotations

from netdsl.backend.step import SCRATCH, Slot, TooLarge, start_of
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, divided, divisor_parameters, divisor_values
from netdsl.cuda.contract.finish import Box, Ending, Finish, ending
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.ir import TensorType
from netdsl.schedule import View

THREADS = 256
AT_ONCE = 8
"""Parts that a thread waits for at the same time."""


def partial(title: str, rows: int, channels: int, columns: int, parts: int) -> Ending:
    """How the parts are stored: one after the other, each row by row; TooLarge for too many elements."""
    if parts * rows * channels > MOST:
        found = f"{parts} parts of {rows * channels:_} elements"
        raise TooLarge(f"{title} in {found}; a kernel takes {MOST:_} at most")
    sums = View.dense(SCRATCH, TensorType((rows, channels)))
    return ending(None, (), sums, Box((0, 0), (1, 1), sums.shape), columns)


def part_sums(title: str, end: Ending, rows: int, channels: int, parts: int) -> Launch:
    """The launch that ends sums in parts."""
    step, count = rows * channels, rows * channels // end.finish.width
    values = {**end.values, "parts": parts, "part_step": step, "vectors": count}
    values |= divisor_values("channels", channels)
    slots = {**end.slots, "sums": Slot(start_of(SCRATCH))}
    return Launch(
        f"{title} sum", _source(end.finish), -(-count // THREADS), THREADS, values, slots, 4 * parts * step
    )


def _source(finish: Finish) -> Source:
    width = finish.width
    parameters = (
        Parameter("sums", to="f32"),
        *(Parameter(name, "i32") for name in ("parts", "part_step", "vectors")),
        *divisor_parameters("channels"),
        *finish.parameters(),
    )
    out = Lines()
    with out.kernel(parameters):
        out.add(f"read = cuda.local.array({AT_ONCE * width}, float32)")
        out.add(f"total = cuda.local.array({width}, float32)")
        finish.declare(out)
        vector = out.let(f"int32(cuda.blockIdx.x * {THREADS} + cuda.threadIdx.x)")
        with out.block(f"if {vector} < vectors"):
            first = out.let(f"int32({vector} * {width})")
            with out.block(f"for q in range({width})"):
                out.add("total[q] = float32(0.0)")
            out.add("part = int32(0)")
            with out.block("while part < parts"):
                for k in range(AT_ONCE):
                    at = f"int32({first} + (part + {k}) * part_step)"
                    out.add(f"fetch{width}(read, {k * width}, sums, {at}, part + {k} < parts)")
                for k in range(AT_ONCE):  # NVVM for cards from 10.0 on does not unroll a nest of loops
                    with out.block(f"for q in range({width})"):
                        out.add(f"total[q] += read[{k * width} + q]")
                out.add(f"part = int32(part + {AT_ONCE})")
            row, column = divided(out, out.let(f"uint32({first})"), "channels")
            finish.emit(out, [f"total[{q}]" for q in range(width)], row, column)
    return out.source(parameters, (THREADS, 1))
