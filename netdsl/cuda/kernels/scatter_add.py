"""`scatter_add` on the GPU, without atomics: each sum is one thread's or one warp's, in the order of the index.

The bits are those of adding in a loop, on any card, and those of the CPU.  A short index is read whole for every sum;
a long one is sorted first, so that the places of a row lie together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.backend.axes import elements
from netdsl.backend.step import Slot, TooLarge
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import (
    MOST,
    THREADS,
    WARP,
    coordinates,
    each_element,
    nest_parameters,
    space_values,
)
from netdsl.cuda.kernels.keys import Keys, Pairs, Scratch, words
from netdsl.cuda.kernels.sort import sort_rows
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.primitives import ScatterAdd
from netdsl.schedule import View

SHORT = 2048
"""Places of an index that may be read for every sum."""
FEW = 2**28
"""How often one may be read in all; about what a sort costs."""
NARROW = 8
"""Columns below which a warp reads the places of a sum together, if there are as many."""


def plan_scatter_add(op: ScatterAdd, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """The launches; TooLarge for a result of more than 2^31 elements, or an index of more."""
    (x, index), (y,) = operands, results
    places, columns = index.type.size, elements(x.shape[op.axis + index.type.rank :])
    space = (elements(x.shape[: op.axis]), op.size, columns)
    count = elements(space)
    if count > MOST:
        raise TooLarge(f"scatter_add to {count:_} elements; a kernel takes {MOST:_} at most")
    if not count:
        return []
    values = space_values(*space) | {"places": places}
    slots = {"x": Slot(x), "out": Slot(y, written=True)}
    title = f"scatter_add {places} to {op.size} x {columns}"
    if places <= SHORT and places * count <= FEW:
        slots["index"] = Slot(index)
        return [Launch(title, _walk(), -(-count // THREADS), THREADS, values, slots)]
    scratch = Scratch()
    launches, found = sort_rows(_rows(index, op.size), 1, places, op.size.bit_length(), scratch)
    starts = scratch.words(op.size + 1)
    launches.append(_find(found, op.size, places, starts))
    slots |= {"order": Slot(found.places), "starts": Slot(starts)}
    together = columns < NARROW and places >= NARROW * op.size and WARP * count <= MOST
    source, each = (_sum_of_warp(), THREADS // WARP) if together else (_sum(), THREADS)
    launches.append(Launch("sum", source, -(-count // each), THREADS, values, slots))
    return [replace(launch, title=f"{title}: {launch.title}", scratch=scratch.size) for launch in launches]


def _rows(index: View, size: int) -> Keys:
    """The row of each place, `size` for those outside."""

    def write(out: Lines, at: str, place: str) -> tuple[str, str]:
        row = out.let(f"index[{at}]")
        return out.let(f"uint32({row}) if uint64({row}) < uint64(rows) else rows"), place

    parameters = (Parameter("index", to="i64"), Parameter("rows", "u32"))
    return Keys(parameters, write, {"index": Slot(index)}, {"rows": size})


def _find(found: Pairs, size: int, places: int, starts: View) -> Launch:
    """Where the places of each row begin among the sorted ones."""
    parameters = (*words("keys", "starts"), Parameter("size", "u32"), Parameter("places", "u32"))
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            row = uint32(cuda.blockIdx.x * {THREADS} + cuda.threadIdx.x)
            if row <= size:
                low = uint32(0)
                high = places
                while low < high:
                    middle = uint32(uint32(low + high) >> uint32(1))
                    if keys[middle] < row:
                        low = uint32(middle + uint32(1))
                    else:
                        high = middle
                starts[row] = low
        """)
    slots = {"keys": Slot(found.keys), "starts": Slot(starts, written=True)}
    values = {"size": size, "places": places}
    source = out.source(parameters)
    return Launch("find rows", source, -(-(size + 1) // THREADS), THREADS, values, slots)


_PARAMETERS = (
    Parameter("x", to="f32"),
    Parameter("out", to="f32"),
    *nest_parameters(3, 0),
    Parameter("places", "u32"),
)


def _walk() -> Source:
    """A thread for each sum, which reads the whole index."""
    parameters = (Parameter("index", to="i64"), *_PARAMETERS)
    out = Lines()
    with out.kernel(parameters), each_element(out, 3) as (flat, (outer, row, column)):
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
    return out.source(parameters)


def _sum() -> Source:
    """A thread for each sum: threads side by side read rows; four rows are on their way at a time."""
    parameters = (*words("order", "starts"), *_PARAMETERS)
    out = Lines()
    with out.kernel(parameters), each_element(out, 3) as (flat, (outer, row, column)):
        out.write(f"""
            total = float32(0.0)
            base = int64({outer}) * int64(places) * int64(size2) + int64({column})
            at = starts[{row}]
            end = starts[int64({row}) + int64(1)]
            while uint32(at + uint32(4)) <= end:
                a = x[base + int64(order[at]) * int64(size2)]
                b = x[base + int64(order[int64(at) + int64(1)]) * int64(size2)]
                c = x[base + int64(order[int64(at) + int64(2)]) * int64(size2)]
                d = x[base + int64(order[int64(at) + int64(3)]) * int64(size2)]
                total = total + a
                total = total + b
                total = total + c
                total = total + d
                at = uint32(at + uint32(4))
            while at < end:
                total = total + x[base + int64(order[at]) * int64(size2)]
                at = uint32(at + uint32(1))
            out[{flat}] = total
        """)
    return out.source(parameters)


def _sum_of_warp() -> Source:
    """A warp for each sum: its threads read 32 elements, and all of them add these one after the other."""
    parameters = (*words("order", "starts"), *_PARAMETERS)
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            lane = uint32(cuda.threadIdx.x & {WARP - 1})
            flat = uint32(cuda.blockIdx.x * {THREADS // WARP} + (cuda.threadIdx.x >> 5))
        """)
        with out.block("if flat < count"):
            outer, row, column = coordinates(out, "flat", 3)
            # What is missing of 32 adds 0, and changes no sum: none is -0.
            out.write(f"""
                total = float32(0.0)
                base = int64({outer}) * int64(places) * int64(size2) + int64({column})
                at = starts[{row}]
                end = starts[int64({row}) + int64(1)]
                while at < end:
                    own = float32(0.0)
                    mine = uint32(at + lane)
                    if mine < end:
                        own = x[base + int64(order[mine]) * int64(size2)]
                    for k in range({WARP}):
                        total = total + cuda.shfl_sync(uint32(0xFFFFFFFF), own, uint32(k))
                    at = uint32(at + uint32({WARP}))
                if lane == uint32(0):
                    out[flat] = total
            """)
    return out.source(parameters)
