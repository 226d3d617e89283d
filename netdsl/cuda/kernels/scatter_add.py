"""`scatter_add` on the GPU, without atomics: each sum is one thread's, in the order of the index.

The bits are those of adding in a loop, on any card, and those of the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from netdsl.backend.axes import Axis, elements
from netdsl.backend.step import Slot
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, coordinates, nest_parameters, nest_values
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.primitives import ScatterAdd
from netdsl.schedule import View

THREADS = 256


def plan_scatter_add(op: ScatterAdd, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """The launches; LookupError for a result of more than 2^31 elements."""
    (x, index), (y,) = operands, results
    columns = elements(x.shape[op.axis + index.type.rank :])
    space = (elements(x.shape[: op.axis]), op.size, columns)
    count = elements(space)
    if count > MOST:
        raise LookupError(f"scatter_add to {count:_} elements; a kernel takes {MOST:_} at most")
    if not count:
        return []
    values = nest_values([Axis(n, False, ()) for n in space], []) | {"places": index.type.size}
    slots = {"x": Slot(x), "index": Slot(index), "out": Slot(y, written=True)}
    title = f"scatter_add {index.type.size} to {op.size} x {columns}"
    return [Launch(title, _walk(), -(-count // THREADS), THREADS, values, slots)]


@functools.cache
def _walk() -> Source:
    """A thread for each sum, which reads the whole index."""
    pointers = (Parameter("x", to="f32"), Parameter("index", to="i64"), Parameter("out", to="f32"))
    parameters = (*pointers, *nest_parameters(3, 0), Parameter("places", "u32"))
    out = Lines()
    with out.kernel(parameters):
        flat = out.let(f"uint32(cuda.blockIdx.x * {THREADS} + cuda.threadIdx.x)")
        with out.block(f"if {flat} < count"):
            outer, row, column = coordinates(out, flat, 3)
            out.write(f"""
                total = float32(0.0)
                at = int64({outer}) * int64(places) * int64(size2) + int64({column})
                place = uint32(0)
                while place < places:
                    if index[place] == int64({row}):
                        total = total + x[at]
                    at = at + int64(size2)
                    place = uint32(place + uint32(1))
                out[{flat}] = total
            """)
    return Source(out.text(), parameters)
