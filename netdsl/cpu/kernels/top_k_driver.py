"""The kernel of `top_k`, as a Python function that Numba compiles; see `contract.drivers`."""

from __future__ import annotations

from netdsl.cpu.codegen.numba_ir import inlined, load, load32, save
from netdsl.cpu.kernels.top_k_arguments import TopKBlock

MAGNITUDE, INFINITY = 0x7FFFFFFF, 0x7F800000


@inlined
def _key(x: int, place: int) -> int:
    """An integer in the order of the floats: both zeros are 0, a NaN is the largest of all."""
    bits: int = load32(x + 4 * place)
    magnitude = bits & MAGNITUDE
    if magnitude > INFINITY:
        return MAGNITUDE
    return -magnitude if bits < 0 else magnitude


@inlined
def _worse(x: int, a: int, b: int) -> bool:
    """Whether the element at place `a` comes after that at `b`."""
    first, second = _key(x, a), _key(x, b)
    return first < second or (first == second and a > b)


@inlined
def _sink(x: int, heap: int, at: int, count: int) -> None:
    """Let an entry of a heap of `count` go down until those below it come before it."""
    place = load(heap, at)
    while 2 * at + 1 < count:
        below = 2 * at + 1
        if below + 1 < count and _worse(x, load(heap, below + 1), load(heap, below)):
            below += 1
        if not _worse(x, load(heap, below), place):
            break
        save(heap, at, load(heap, below))
        at = below
    save(heap, at, place)


def top_k(args: TopKBlock, part: int, parts: int, workspace: int) -> None:
    """Units are rows."""
    rows, size, count = args.rows, args.size, args.count
    for row in range(rows * part // parts, rows * (part + 1) // parts):
        x, heap = args.x + 4 * size * row, args.out + 8 * count * row
        for k in range(count):
            save(heap, k, k)
        for k in range(count // 2):
            _sink(x, heap, count // 2 - 1 - k, count)
        bar = _key(x, load(heap, 0))
        for place in range(count, size):
            # Of equal elements the one that is there comes first.
            if _key(x, place) > bar:
                save(heap, 0, place)
                _sink(x, heap, 0, count)
                bar = _key(x, load(heap, 0))
        for k in range(count - 1):
            last = count - 1 - k
            worst = load(heap, 0)
            save(heap, 0, load(heap, last))
            save(heap, last, worst)
            _sink(x, heap, 0, last)
