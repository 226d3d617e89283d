"""Tapes over a space on the GPU, a thread for each element: `map`, and the copies of `concat`, `slice` and others.

One kernel per expression, number of axes and dtypes; sizes and strides are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.backend.axes import axes_of, elements
from netdsl.backend.elementwise import Elementwise, elementwise
from netdsl.backend.step import Slot
from netdsl.backend.tape import Tape
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, THREADS, each_element, nest_parameters, nest_values, place
from netdsl.cuda.codegen.scalar import evaluated
from netdsl.cuda.codegen.streams import Streams, stored
from netdsl.cuda.step import Launch, Source
from netdsl.ir import Op
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View


def plan_elementwise(op: Op, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """A launch for each run; LookupError for more than 2^31 elements."""
    return [_launch(run) for run in elementwise(op, operands, results) if elements(run.space)]


def _launch(run: Elementwise) -> Launch:
    """The launch of a run."""
    program, space, views = run.tape, run.space, run.views
    count, counters = elements(space), run.counters
    if count > MOST:
        raise LookupError(f"{run.title} over {count:_} elements; a kernel takes {MOST:_} at most")
    axes = axes_of(space, [*(v.over(space) for v in views), *counters])
    dtypes = tuple(v.type.dtype for v in views)
    items = [*(v.item for v in views), *[1] * len(counters)]
    source = map_source(program, len(axes), dtypes)
    slots = {f"p{k}": Slot(view, k >= len(run.used)) for k, view in enumerate(views)}
    name = f"{run.title} {'x'.join(map(str, space)) or 'scalar'}"
    return Launch(name, source, -(-count // THREADS), THREADS, nest_values(axes, items), slots)


def map_source(program: Tape, dims: int, dtypes: Sequence[Dtype]) -> Source:
    """The kernel of a tape over so many axes; `dtypes` are those of the operands that are read and the results."""
    streams = Streams(program, dtypes)
    parameters = (*streams.pointers(), *nest_parameters(dims, streams.count))
    out = Lines()
    with out.kernel(parameters), each_element(out, dims) as (_, at):
        leaf = streams.leaf(out, lambda stream: place(out, stream, at))
        for k, name in enumerate(evaluated(out, program, leaf), streams.reads):
            out.add(f"p{k}[{place(out, k, at)}] = {stored(name, dtypes[k])}")
    return out.source(parameters)
