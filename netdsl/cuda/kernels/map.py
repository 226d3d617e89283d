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
from netdsl.cuda.codegen.nest import MOST, coordinates, nest_parameters, nest_values, place
from netdsl.cuda.codegen.scalar import Printer
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.ir import Op
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

THREADS = 256


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
    source = map_source(program, run.used, len(axes), dtypes)
    slots = {f"p{k}": Slot(view, k >= len(run.used)) for k, view in enumerate(views)}
    name = f"{run.title} {'x'.join(map(str, space)) or 'scalar'}"
    return Launch(name, source, -(-count // THREADS), THREADS, nest_values(axes, items), slots)


def map_source(program: Tape, used: dict[int, int], dims: int, dtypes: Sequence[Dtype]) -> Source:
    """The kernel of a tape; streams are the operands that are read, the results and the counters."""
    counters = [("index", a) for a in program.axes()] + ([("flat", 0)] if program.random() else [])
    pointers = [Parameter(f"p{k}", to=dtype) for k, dtype in enumerate(dtypes)]
    parameters = (*pointers, *nest_parameters(dims, len(dtypes) + len(counters)))
    out = Lines()
    with out.kernel(parameters):
        flat = out.let(f"uint32(cuda.blockIdx.x * {THREADS} + cuda.threadIdx.x)")
        with out.block(f"if {flat} < count"):
            at = coordinates(out, flat, dims)

            def leaf(kind: str, number: int) -> str:
                if kind == "arg":
                    return element(out, used[number], dtypes[used[number]], at)
                found = place(out, len(dtypes) + counters.index((kind, number)), at)
                return found if kind == "index" else out.let(f"uint32({found})")

            for k, name in enumerate(Printer(out, leaf).print(program), len(used)):
                out.add(f"p{k}[{place(out, k, at)}] = {stored(name, dtypes[k])}")
    return Source(out.text(), parameters)


def element(out: Lines, stream: int, dtype: Dtype, at: Sequence[str]) -> str:
    """The element of a tensor at coordinates; conditions are stored as bytes."""
    found = out.let(f"p{stream}[{place(out, stream, at)}]")
    return out.let(f"{found} != uint8(0)") if dtype == "bool" else found


def stored(name: str, dtype: Dtype) -> str:
    """A value as it is stored."""
    return f"uint8({name})" if dtype == "bool" else name
