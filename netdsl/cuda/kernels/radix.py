"""Long rows of keys sorted on the GPU by 8 bits after the other, by counting, in three launches each.

A tile of a row is counted, the counts of all tiles are added up, and each element goes to its place; equal ones keep
their order (as Merrill and Grimshaw 2011).
"""

from __future__ import annotations

from netdsl.backend.step import Slot
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import THREADS, WARP, coordinates, each_element, nest_parameters, space_values
from netdsl.cuda.kernels.keys import Keys, Pairs, Scratch, words
from netdsl.cuda.step import Launch, Parameter, Source

TILE = 2048
EACH = TILE // THREADS
DIGIT = 8
"""Bits that a pass sorts by; a block has a thread for each of their 256 values."""


def sort_digits(keys: Keys, rows: int, size: int, bits: int, scratch: Scratch) -> tuple[list[Launch], Pairs]:
    """Sort rows of `size` keys of a number of bits."""
    source, target = Pairs.new(scratch, rows * size), Pairs.new(scratch, rows * size)
    tiles = -(-size // TILE)
    counts, totals = scratch.words(rows * tiles << DIGIT), scratch.words(rows << DIGIT)
    launches = [_write_keys(keys, rows, size, source)]
    for digit in range(0, bits, DIGIT):
        lines = {"count": rows << DIGIT, "tiles": tiles}
        values = space_values(rows, tiles) | {"size": size, "digit": digit}
        moved = source.slots("in") | target.slots("out", written=True)
        moved |= {"counts": Slot(counts), "totals": Slot(totals)}
        counted = {"in_keys": Slot(source.keys), "counts": Slot(counts, written=True)}
        summed = {"counts": Slot(counts, written=True), "totals": Slot(totals, written=True)}
        launches += [
            Launch("sort count", _count(), rows * tiles, THREADS, values, counted),
            Launch("sort scan", _scan(), (rows << DIGIT) * WARP // THREADS, THREADS, lines, summed),
            Launch("sort move", _move(), rows * tiles, THREADS, values, moved),
        ]
        source, target = target, source
    return launches, source


def _write_keys(keys: Keys, rows: int, size: int, target: Pairs) -> Launch:
    parameters = (*keys.parameters, *words("out_keys", "out_places"), *nest_parameters(2, 0))
    out = Lines()
    with out.kernel(parameters), each_element(out, 2) as (flat, (_, place)):
        key, place = keys.write(out, flat, place)
        out.add(f"out_keys[{flat}] = {key}")
        out.add(f"out_places[{flat}] = {place}")
    values = {**space_values(rows, size), **keys.values}
    slots = {**keys.slots, **target.slots("out", written=True)}
    source = out.source(parameters)
    return Launch("sort keys", source, -(-rows * size // THREADS), THREADS, values, slots)


_TILE_NUMBERS = (Parameter("size", "u32"), Parameter("digit", "u32"))


def _ranked(out: Lines, kept: bool) -> None:
    """Count the digits of each warp's 256 elements in `table`; `kept`: how many equal ones are before each."""
    row, tile = coordinates(out, "uint32(cuda.blockIdx.x)", 2)
    out.write(f"""
        table = cuda.shared.array({TILE}, uint32)
        row = {row}
        tile = {tile}
        start = uint64(row) * uint64(size)
        thread = uint32(cuda.threadIdx.x)
        lane = uint32(thread & uint32(31))
        warp = uint32(thread & uint32(0xE0)) << uint32(3)
        before = uint32(uint32(uint32(1) << lane) - uint32(1))
        own = uint32(tile * uint32({TILE}) + warp + lane)
        for k in range({EACH}):
            table[thread + uint32(k) * uint32({THREADS})] = uint32(0)
        cuda.syncthreads()
    """)
    if kept:
        out.add(f"ranks = cuda.local.array({EACH}, uint32)")
    with out.block(f"for k in range({EACH})"):
        out.write("""
            place = uint32(own + uint32(k) * uint32(32))
            value = uint32(256)
            if place < size:
                value = uint32(uint32(in_keys[start + uint64(place)] >> digit) & uint32(255))
            equal = uint32(cuda.match_any_sync(uint32(0xFFFFFFFF), int32(value)))
            rank = uint32(cuda.popc(uint32(equal & before)))
            found = uint32(0)
            if place < size:
                found = table[warp + value]
            cuda.syncwarp()
            if (place < size) & (rank == uint32(0)):
                table[warp + value] = uint32(found + uint32(cuda.popc(equal)))
            cuda.syncwarp()
        """)
        if kept:
            out.add("ranks[k] = uint32(found + rank)")


def _count() -> Source:
    """How often each digit occurs in a tile, by row, digit and tile."""
    parameters = (*words("in_keys", "counts"), *nest_parameters(2, 0), *_TILE_NUMBERS)
    out = Lines()
    with out.kernel(parameters):
        _ranked(out, kept=False)
        out.add("cuda.syncthreads()")
        out.write(f"""
            total = uint32(0)
            for k in range({EACH}):
                total = uint32(total + table[thread + uint32(k) * uint32({THREADS})])
            at = (uint64(row) * uint64({THREADS}) + uint64(thread)) * uint64(size1) + uint64(tile)
            counts[at] = total
        """)
    return out.source(parameters)


# `total` of the values `own` of all lanes of a warp up to this one.
_SUMMED = f"""
    total = own
    by = uint32(1)
    while by < uint32({WARP}):
        other = uint32(cuda.shfl_up_sync(uint32(0xFFFFFFFF), int32(total), by))
        if lane >= by:
            total = uint32(total + other)
        by = uint32(by << uint32(1))
"""


def _scan() -> Source:
    """For each row and digit how often it occurs in the tiles before, and in all: a warp each."""
    parameters = (*words("counts", "totals"), Parameter("count", "u32"), Parameter("tiles", "u32"))
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            lane = uint32(cuda.threadIdx.x & {WARP - 1})
            line = uint32(cuda.blockIdx.x * {THREADS // WARP} + (cuda.threadIdx.x >> 5))
            start = uint64(line) * uint64(tiles)
            before = uint32(0)
            first = uint32(0)
        """)
        with out.block("if line < count"):
            with out.block("while first < tiles"):
                out.write("""
                    tile = uint32(first + lane)
                    own = uint32(0)
                    if tile < tiles:
                        own = counts[start + uint64(tile)]
                """)
                out.write(_SUMMED)
                out.write(f"""
                    if tile < tiles:
                        counts[start + uint64(tile)] = uint32(before + total - own)
                    last = cuda.shfl_sync(uint32(0xFFFFFFFF), int32(total), {WARP - 1})
                    before = uint32(before + uint32(last))
                    first = uint32(first + uint32({WARP}))
                """)
            out.write("""
                if lane == uint32(0):
                    totals[line] = before
            """)
    return out.source(parameters)


def _move() -> Source:
    """Every element to its place by a digit, those with equal digits in the order that they have."""
    pointers = words("in_keys", "in_places", "out_keys", "out_places", "counts", "totals")
    parameters = (*pointers, *nest_parameters(2, 0), *_TILE_NUMBERS)
    out = Lines()
    with out.kernel(parameters):
        _ranked(out, kept=True)
        out.write(f"""
            line = cuda.shared.array({THREADS // WARP}, uint32)
            at = uint64(row) * uint64({THREADS}) + uint64(thread)
            own = totals[at]
        """)
        out.write(_SUMMED)
        out.write(f"""
            if lane == uint32({WARP - 1}):
                line[thread >> uint32(5)] = total
            cuda.syncthreads()
            begin = uint32(total - own + counts[at * uint64(size1) + uint64(tile)])
            for k in range({THREADS // WARP - 1}):
                if uint32(k) < (thread >> uint32(5)):
                    begin = uint32(begin + line[k])
            for k in range({EACH}):
                cell = uint32(thread + uint32(k) * uint32({THREADS}))
                found = table[cell]
                table[cell] = begin
                begin = uint32(begin + found)
            cuda.syncthreads()
            for k in range({EACH}):
                place = uint32(tile * uint32({TILE}) + warp + lane + uint32(k) * uint32(32))
                if place < size:
                    key = in_keys[start + uint64(place)]
                    value = uint32(uint32(key >> digit) & uint32(255))
                    target = start + uint64(uint32(table[warp + value] + ranks[k]))
                    out_keys[target] = key
                    out_places[target] = in_places[start + uint64(place)]
        """)
    return out.source(parameters)
