"""`roi_reduce_grad` on the GPU: a thread for each pixel and channel, or four of these, which adds what cells give it.

For each row of the map, and each column, a list says which lines have a weight there; a pixel's thread goes through
both in the order of the regions, as the CPU adds, and the bits are the same.  For max each cell first finds the pixel
that its gradient goes to.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from netdsl.backend.axes import elements
from netdsl.backend.step import Slot
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import (
    THREADS,
    WARP,
    coordinates,
    divided,
    divisor_parameters,
    divisor_values,
    each_element,
    nest_parameters,
    space_values,
)
from netdsl.cuda.kernels.keys import LAST, Scratch, words
from netdsl.cuda.kernels.roi_reduce import (
    PARAMETERS,
    VISITED,
    RegionSizes,
    channels_of,
    find_spans,
    is_own,
    over_cells,
    visit,
)
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.primitives import RoiReduceGrad
from netdsl.schedule import View


def plan_region_grad(op: RoiReduceGrad, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """Launches for lists, for max those that find its places, and one for the pixels.

    TooLarge for more than 2^31 threads.
    """
    (rows, columns, g), (dx,) = operands[:3], results
    if not dx.type.size:
        return []
    geometry, scratch = RegionSizes.of(g, dx, op.split), Scratch()
    launches: list[Launch] = []
    slots = {"rows": Slot(rows), "columns": Slot(columns), "g": Slot(g), "out": Slot(dx, written=True)}
    if op.kind == "max" and g.type.size:
        launches, spans = find_spans(rows, columns, scratch)
        found = scratch.words(g.type.size)
        wanted = spans | {
            "x": Slot(operands[3]),
            "best": Slot(operands[4]),
            "found": Slot(found, written=True),
        }
        launches.append(over_cells("places", _places(op.split, geometry.each), geometry, wanted))
        slots["found"] = Slot(found)
    elif op.kind == "max":
        slots["found"] = Slot(scratch.words(0))
    for name in ("rows", "columns"):
        launch, lists = _list(name, slots[name].view, scratch)
        launches.append(launch)
        slots |= lists
    m = geometry
    values = m.values(m.n, m.h, m.w, m.blocks, m.step)
    values |= divisor_values("p", max(m.p, 1)) | divisor_values("q", max(m.q, 1))
    source = _pixels(op.kind, op.split, m.each)
    launches.append(Launch("pixels", source, -(-values["count"] // THREADS), THREADS, values, slots))
    title = f"{op.name} {op.kind} {'x'.join(map(str, g.shape[1:]))} @ {m.h}x{m.w}"
    return [replace(launch, title=f"{title}: {launch.title}", scratch=scratch.size) for launch in launches]


def _list(name: str, weights: View, scratch: Scratch) -> tuple[Launch, dict[str, Slot]]:
    """For each place along an axis of a map the lines that have a weight there, in order, and how many."""
    n, lines, size = weights.shape[0], elements(weights.shape[1:3]), weights.shape[3]
    found, counts = scratch.words(n * size * lines), scratch.words(n * size)
    slots = {
        "weights": Slot(weights),
        "found": Slot(found, written=True),
        "counts": Slot(counts, written=True),
    }
    values = space_values(n, size) | {"lines": lines}
    launch = Launch(f"list {name}", _lists(), -(-n * size * WARP // THREADS), THREADS, values, slots)
    return launch, {f"{name}_list": Slot(found), f"{name}_count": Slot(counts)}


def _lists() -> Source:
    """A warp for each place."""
    pointers = (Parameter("weights", to="f32"), *words("found", "counts"))
    parameters = (*pointers, *nest_parameters(2, 0), Parameter("lines", "u32"))
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            lane = uint32(cuda.threadIdx.x & {WARP - 1})
            before = uint32(uint32(uint32(1) << lane) - uint32(1))
            flat = uint32(cuda.blockIdx.x * {THREADS // WARP} + (cuda.threadIdx.x >> 5))
        """)
        with out.block("if flat < count"):
            n, place = coordinates(out, "flat", 2)
            out.write(f"""
                start = int64(flat) * int64(lines)
                total = uint32(0)
                first = uint32(0)
                while first < lines:
                    line = uint32(first + lane)
                    some = False
                    if line < lines:
                        at = (int64({n}) * int64(lines) + int64(line)) * int64(size1) + int64({place})
                        some = weights[at] != float32(0.0)
                    voted = uint32(cuda.ballot_sync(uint32(0xFFFFFFFF), some))
                    if some:
                        found[start + int64(uint32(total + uint32(cuda.popc(voted & before))))] = line
                    total = uint32(total + uint32(cuda.popc(voted)))
                    first = uint32(first + uint32({WARP}))
                if lane == uint32(0):
                    counts[flat] = total
            """)
    return out.source(parameters)


def _places(split: bool, each: int) -> Source:
    """The first pixel of each cell and channel that is the largest; LAST where none is, which is so for NaN."""
    parameters = (*VISITED, Parameter("best", to="f32"), *words("found"), *PARAMETERS)
    out = Lines()
    with out.kernel(parameters), each_element(out, 5) as (_, at):
        channels_of(out, each, at[4])
        out.write(f"""
            own = int64({at[0]}) * int64(regions) + int64({at[1]})
            own = (own * int64(size2) + int64({at[2]})) * int64(size3) + int64({at[3]})
            own = own * int64(channels) + int64({at[4]})
            wanted = cuda.local.array({each}, float32)
            places = cuda.local.array({each}, uint32)
            for k in range({each}):
                wanted[k] = best[own + int64(far[k])]
                places[k] = uint32({LAST})
        """)
        with visit(out, at, split):
            out.write(f"""
                for k in range({each}):
                    if (places[k] == uint32({LAST})) & (x[pixel_at + int64(far[k])] == wanted[k]):
                        places[k] = uint32(y * width + across)
            """)
        out.write(f"""
            for k in range({each}):
                if {is_own(at[4])}:
                    found[own + int64(far[k])] = places[k]
        """)
    return out.source(parameters)


_LISTED = (
    *(Parameter(name, to="f32") for name in ("rows", "columns", "g", "out")),
    *words("rows_list", "rows_count", "columns_list", "columns_count"),
)
_CELLS = (*divisor_parameters("p"), *divisor_parameters("q"))


def _pixels(kind: str, split: bool, each: int) -> Source:
    """The sum of each pixel, in the order of regions, rows and columns of cells."""
    found = words("found") if kind == "max" else ()
    parameters = (*_LISTED, *found, *PARAMETERS, *_CELLS)
    out = Lines()
    with out.kernel(parameters), each_element(out, 5) as (_, (n, y, across, block, channel)):
        channels_of(out, each, channel)
        out.write(f"""
            totals = cuda.local.array({each}, float32)
            for k in range({each}):
                totals[k] = float32(0.0)
            line = int64({n}) * int64(height) + int64({y})
            column_at = int64({n}) * int64(width) + int64({across})
            down = line * int64(regions) * int64(p)
            along = column_at * int64(regions) * int64(q)
            place = uint32({y} * width + {across})
            lines = rows_count[line]
            ends = columns_count[column_at]
            first = uint32(0)
            at = uint32(0)
        """)
        if split:
            block_row, block_column = divided(out, block, "q")
        with out.block("while at < lines"):
            out.add("cell_row = rows_list[down + int64(at)]")
            region, cell_p = divided(out, "cell_row", "p")
            out.write(f"""
                begin = uint32({region} * q)
                skips = first < ends
                while skips:
                    skips = columns_list[along + int64(first)] < begin
                    if skips:
                        first = uint32(first + uint32(1))
                        skips = first < ends
            """)
            with out.block(f"if {cell_p} == {block_row}") if split else nullcontext():
                _region(out, kind, each, (n, y, across, channel), block_column if split else None)
            out.add("at = uint32(at + uint32(1))")
        out.write(f"""
            own = (line * int64(width) + int64({across})) * int64(pixel)
            own = own + int64({block}) * int64(channels) + int64({channel})
            for k in range({each}):
                if {is_own(channel)}:
                    out[own + int64(far[k])] = totals[k]
        """)
    return out.source(parameters)


def _region(out: Lines, kind: str, each: int, at: Sequence[str], only: str | None) -> None:
    """Add what a row of cells of a region gives to a pixel: those with a weight there, or `only` that of a column."""
    n, y, across, channel = at
    out.write(f"""
        row = int64({n}) * int64(regions) * int64(p) + int64(cell_row)
        wy = rows[row * int64(height) + int64({y})]
        other = first
        goes = other < ends
    """)
    with out.block("while goes"):
        out.write("""
            cell_column = columns_list[along + int64(other)]
            cell_q = uint32(cell_column - begin)
            goes = cell_q < q
        """)
        with out.block(f"if goes & (cell_q == {only})" if only else "if goes"):
            out.write(f"""
                column = int64({n}) * int64(regions) * int64(q) + int64(cell_column)
                wx = columns[column * int64(width) + int64({across})]
                weight = wy * wx
                cell = (row * int64(q) + int64(cell_q)) * int64(channels) + int64({channel})
            """)
            with out.block(f"for k in range({each})"):
                if kind == "max":
                    with out.block("if found[cell + int64(far[k])] == place"):
                        out.add("totals[k] = totals[k] + g[cell + int64(far[k])]")
                else:
                    out.add("totals[k] = totals[k] + libdevice.fmul_rn(weight, g[cell + int64(far[k])])")
        out.write("""
            other = uint32(other + uint32(1))
            goes = goes & (other < ends)
        """)
