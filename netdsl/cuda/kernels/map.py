"""Tapes over a space on the GPU: `map`, and the copies of `concat`, `slice` and others.

A thread takes one element; in large spaces four neighbours, where the card reads and writes them at once: the places
of four are computed as one, and four times as many bytes are on their way.  One kernel per expression, number of
axes, dtypes, and how its streams move along four; sizes and strides are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.backend.axes import Axis, axes_of, elements
from netdsl.backend.elementwise import Elementwise, elementwise
from netdsl.backend.step import Slot, TooLarge
from netdsl.backend.tape import Tape
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, THREADS, each_element, nest_parameters, nest_values, place
from netdsl.cuda.codegen.scalar import evaluated
from netdsl.cuda.codegen.streams import Streams, element, stored
from netdsl.cuda.codegen.wide import Lane, in_vectors, lanes_of, load_wide, store_wide
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.ir import Op
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

LARGE = 1 << 20
"""Elements that fill a large GPU even if each thread takes four: eight blocks for each of 128 multiprocessors."""
WORK = 256
"""Of an expression, in additions, times the elements that a thread takes: beyond, computing takes the time."""


def plan_elementwise(op: Op, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """A launch for each run; TooLarge for more than 2^31 elements."""
    return [_launch(run) for run in elementwise(op, operands, results) if elements(run.space)]


def _launch(run: Elementwise) -> Launch:
    """The launch of a run."""
    program, space, views = run.tape, run.space, run.views
    count, counters = elements(space), run.counters
    if count > MOST:
        raise TooLarge(f"{run.title} over {count:_} elements; a kernel takes {MOST:_} at most")
    axes = axes_of(space, [*(v.over(space) for v in views), *counters])
    dtypes = tuple(v.type.dtype for v in views)
    items = [*(v.item for v in views), *[1] * len(counters)]
    lanes = _lanes(run, axes) if count >= LARGE else ()
    values = {}
    if lanes:
        values = {f"lane{k}": b // i for k, (b, i) in enumerate(zip(axes[-1].strides, items, strict=True))}
        axes[-1], count = in_vectors(axes[-1]), count // LANES
    source = (
        vector_source(program, len(axes), dtypes, lanes) if lanes else map_source(program, len(axes), dtypes)
    )
    slots = {f"p{k}": Slot(view, k >= len(run.used)) for k, view in enumerate(views)}
    name = f"{run.title} {'x'.join(map(str, space)) or 'scalar'}"
    return Launch(name, source, -(-count // THREADS), THREADS, values | nest_values(axes, items), slots)


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


def _lanes(run: Elementwise, axes: Sequence[Axis]) -> tuple[Lane, ...]:
    """How operands, results and counters move along four elements; empty where a thread takes one."""
    found = lanes_of(run.views, axes)
    return () if "same" in found[len(run.used) :] or LANES * run.tape.work() > WORK else found


def vector_source(program: Tape, dims: int, dtypes: Sequence[Dtype], lanes: Sequence[Lane]) -> Source:
    """The kernel of a tape over so many axes, four elements of the last one by a thread."""
    streams = Streams(program, dtypes)
    steps = [Parameter(f"lane{s}", "i64") for s, lane in enumerate(lanes) if lane == "each"]
    parameters = (*streams.pointers(), *steps, *nest_parameters(dims, streams.count))
    out, reads = Lines(), range(streams.reads)
    wide = [s for s, lane in enumerate(lanes) if lane == "wide"]
    with out.kernel(parameters):
        for s in wide:
            out.add(f"wide{s} = cuda.local.array({LANES}, float32)")
        with each_element(out, dims) as (_, at):
            places = [place(out, s, at) for s in range(streams.count)]
            same = {s: element(out, f"p{s}[{places[s]}]", dtypes[s]) for s in reads if lanes[s] == "same"}
            for s in [s for s in wide if s in reads]:
                load_wide(out, f"wide{s}", f"p{s}", places[s])

            def along(stream: int) -> str:
                return out.let(f"{places[stream]} + int64(v) * lane{stream}")

            def load(stream: int) -> str:
                if stream in same:
                    return same[stream]
                text = f"wide{stream}[v]" if stream in wide else f"p{stream}[{along(stream)}]"
                return element(out, text, dtypes[stream])

            with out.block(f"for v in range({LANES})"):
                for k, name in enumerate(
                    evaluated(out, program, streams.leaf(out, along, load)), streams.reads
                ):
                    target = f"wide{k}[v]" if k in wide else f"p{k}[{along(k)}]"
                    out.add(f"{target} = {stored(name, dtypes[k])}")
            for s in wide:
                if s >= streams.reads:
                    store_wide(out, f"wide{s}", f"p{s}", places[s])
    return out.source(parameters)
