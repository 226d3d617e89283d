"""Rows of keys in rising order on the GPU, equal ones in the order of their places: the same on every card.

Short rows, and the best of parts of long ones, are sorted in shared memory (Batcher 1968).
"""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.backend.step import Slot, TooLarge
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, coordinates, nest_parameters, space_values
from netdsl.cuda.kernels.keys import LAST, Keys, Pairs, Scratch, words
from netdsl.cuda.kernels.radix import sort_digits
from netdsl.cuda.step import Launch, Parameter, Source

THREADS = 256
TILE = 2048
"""Elements that a block sorts: those of a part of a row, or of several short rows."""
EACH = TILE // THREADS


def sort_rows(keys: Keys, rows: int, size: int, bits: int, scratch: Scratch) -> tuple[list[Launch], Pairs]:
    """Sort rows of `size` keys of a number of bits; TooLarge for more than 2^31 in all."""
    _check(rows * size)
    if size > TILE:
        return sort_digits(keys, rows, size, bits, scratch)
    result = Pairs.new(scratch, rows * size)
    return [sort_tiles(keys, rows, size, size, result.slots("out", written=True))], result


def _check(count: int) -> None:
    if count > MOST:
        raise TooLarge(f"sorting {count:_} elements; a kernel takes {MOST:_} at most")


def sort_tiles(keys: Keys, rows: int, size: int, count: int, slots: Mapping[str, Slot]) -> Launch:
    """The first `count` of each row in order, of each part of TILE elements where rows are longer.

    They are written to the slots `out_keys` and `out_places`, words, or to `out`, places as i64.
    """
    parts = -(-size // TILE)
    log = (min(size, TILE) - 1).bit_length()
    _check(rows * parts << log)
    values: dict[str, int | float] = {**space_values(rows, parts)}
    values |= {"size": size, "first": count, "log": log}
    blocks = -(-(rows * parts << log) // TILE)
    values |= keys.values
    slots = {**keys.slots, **slots}
    return Launch(f"sort {rows} x {size}", _tile(keys, "out" in slots), blocks, THREADS, values, slots)


def _tile(keys: Keys, to_result: bool) -> Source:
    """A block sorts the pieces of 2^log elements that its tile is made of."""
    target = (Parameter("out", to="i64"),) if to_result else words("out_keys", "out_places")
    numbers = tuple(Parameter(name, "u32") for name in ("size", "first", "log"))
    parameters = (*keys.parameters, *target, *nest_parameters(2, 0), *numbers)
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            tile = cuda.shared.array({TILE}, uint64)
            thread = uint32(cuda.threadIdx.x)
            base = uint32(cuda.blockIdx.x) * uint32({TILE})
            width = uint32(uint32(1) << log)
        """)
        with out.block(f"for k in range({EACH})"):
            out.write(f"""
                slot = uint32(thread + uint32(k) * uint32({THREADS}))
                piece = uint32(uint32(base + slot) >> log)
                both = uint64({LAST << 32 | LAST})
            """)
            row, part = coordinates(out, "piece", 2)
            place = out.let(f"uint32({part} * uint32({TILE}) + (slot & uint32(width - uint32(1))))")
            with out.block(f"if (piece < count) & ({place} < size)"):
                at = out.let(f"uint64({row}) * uint64(size) + uint64({place})")
                key, place = keys.write(out, at, place)
                out.add(f"both = (uint64({key}) << uint64(32)) | uint64({place})")
            out.add(f"tile[{_bank('slot')}] = both")
        out.write(_BITONIC)
        with out.block(f"for k in range({EACH})"):
            out.write(f"""
                slot = uint32(thread + uint32(k) * uint32({THREADS}))
                piece = uint32(uint32(base + slot) >> log)
                place = uint32(slot & uint32(width - uint32(1)))
                at = uint64(piece) * uint64(first) + uint64(place)
                both = tile[{_bank("slot")}]
            """)
            with out.block("if (piece < count) & (place < first)"):
                if to_result:
                    out.add(f"out[at] = int64(both & uint64({LAST}))")
                else:
                    out.add("out_keys[at] = uint32(both >> uint64(32))")
                    out.add("out_places[at] = uint32(both)")
    return out.source(parameters)


def _bank(slot: str) -> str:
    """Where an element lies: every second 16 backwards, so that no step of 1 to 8 meets a bank twice."""
    return f"uint32({slot} ^ uint32(uint32(uint32({slot} >> uint32(4)) & uint32(1)) * uint32(15)))"


# Every piece rises at last: in the merges before, its halves rise and fall in turn.
_BITONIC = f"""
    run = uint32(2)
    while run <= width:
        step = uint32(run >> uint32(1))
        while step > uint32(0):
            cuda.syncthreads()
            for k in range({EACH // 2}):
                pair = uint32(thread + uint32(k) * uint32({THREADS}))
                low = uint32(uint32(pair << uint32(1)) - (pair & uint32(step - uint32(1))))
                high = uint32(low + step)
                rises = ((low & run) == uint32(0)) | (run == width)
                low = {_bank("low")}
                high = {_bank("high")}
                a = tile[low]
                b = tile[high]
                if (a > b) == rises:
                    tile[low] = b
                    tile[high] = a
            step = uint32(step >> uint32(1))
        run = uint32(run << uint32(1))
    cuda.syncthreads()
"""
