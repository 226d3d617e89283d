"""The peak and the bandwidth of this machine with so many threads, measured by kernels of our own in 0.3 s."""

from __future__ import annotations

import functools
import time

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.arguments import Address, Arguments, Block
from netdsl.backend.ceilings import Ceilings, Level
from netdsl.backend.memory import Array, aligned_bytes
from netdsl.cpu.codegen.library import Kernel, KernelLibrary, once
from netdsl.cpu.codegen.nest import share
from netdsl.cpu.link import link
from netdsl.cpu.step import Code, Step
from netdsl.cpu.threads.phases import EVERYTHING, Phases, Task
from netdsl.cpu.threads.team import shared_team
from netdsl.native import host
from netdsl.native.emit import Emitter, Value

#: multiply-adds that wait for nothing but themselves: more than the latency of two units, fewer than the registers
CHAINS = 10
UNROLLED = 4
#: working sets in bytes: from a part of the first caches to memory
SIZES = tuple(2**k for k in (15, 17, 19, 21, 23, 25, 27))
#: seconds of a sample on one thread, and of all samples of a kernel: usual ones, and those of a busy machine,
#: where only a short sample has all threads running
SAMPLE, ALL, LONGEST = 2.5e-4, 1e-2, 0.1
FEWEST = 24


class Stream(Block):
    """`count` floats at `source` are read, or copied to `to`, in so many passes: each thread goes over its share."""

    source: Address
    to: Address
    count: int
    passes: int


def ceilings(threads: int) -> Ceilings:
    """The peak and the bandwidths with so many threads, measured once in a process."""
    return _measured(threads, host.lanes())


@functools.cache
def _measured(threads: int, lanes: int) -> Ceilings:
    data = aligned_bytes(SIZES[-1]).view(np.float32)
    data[:] = 1.0  # pages that nobody has written to are all the same one
    operations = threads * UNROLLED * CHAINS * lanes * 2
    peak = operations / _seconds("multiply", data[:lanes], data[:lanes], threads)
    levels: list[Level] = []
    for size in reversed(SIZES):
        found = _level(data[: size // 4], threads)
        # Under load a sample may be slow that should be fast; a smaller set is no slower than a larger one.
        after = levels[-1] if levels else found
        levels.append(Level(size, max(found.read, after.read), max(found.written, after.written)))
    return Ceilings(peak, tuple(levels[::-1]))


def _level(data: Array, threads: int) -> Level:
    """Bandwidths where all of the data is read, and where one half is copied to the other."""
    half = data.size // 2
    read = data.nbytes / _seconds("read", data, data, threads)
    copied = data.nbytes / _seconds("copy", data[:half], data[half:], threads)
    # A copied byte is read and written: what is left of the time is that of writing.
    written = 1 / max(2 / copied - 1 / read, 0.5 / copied)
    return Level(data.nbytes, read, written)


def _seconds(kernel: str, source: Array, to: Array, threads: int) -> float:
    """The best time of a pass over the data; other load only ever adds to a sample."""
    block = Arguments(Stream, source=source, to=to, count=source.size, passes=1)
    rows = link([Step(kernel, Code(_library, kernel), block)]).table
    passes = _passes(block, _each(rows, 1))
    every = _each(rows, threads)
    samples = list[float]()
    began = time.perf_counter()
    while (past := time.perf_counter() - began) < ALL or (len(samples) < FEWEST and past < LONGEST):
        samples.append(_time(every))
    return min(samples) / passes


def _each(rows: NDArray[np.int64], threads: int) -> Phases:
    """A share for each thread."""
    return Phases(rows.copy(), [Task(LONGEST * 1e9, threads, [EVERYTHING])], threads)


def _passes(block: Arguments, alone: Phases) -> int:
    """How many passes take a thread that waits for no other the time of a sample."""
    passes = 1
    while (seconds := min(_time(alone) for _ in range(3))) < SAMPLE:
        passes = max(2 * passes, min(100 * passes, round(SAMPLE * passes / seconds)))
        block.put(passes=passes)
    return passes


def _time(program: Phases) -> float:
    start = time.perf_counter()
    shared_team(program.threads).run(program)
    return time.perf_counter() - start


def _library() -> KernelLibrary:
    return _kernels(host.lanes())


@once
def _kernels(lanes: int) -> KernelLibrary:
    kernels = {"multiply": _multiply, "read": _read, "copy": _copy}
    return KernelLibrary("ceilings", {name: Kernel(emit) for name, emit in kernels.items()})


def _multiply(e: Emitter) -> None:
    """Multiply-adds in registers."""
    block = e.fields(e.args[0], Stream)
    a = e.load(e.f32s, block.source)
    with e.loop(0, block.passes, 1, [e.constant(e.f32s, k) for k in range(CHAINS)]) as loop:
        values = loop.carried
        for _ in range(UNROLLED):
            values = [e.fma(v, a, a) for v in values]
        loop.next(*values)
    _keep(e, block.to, loop.results)


def _read(e: Emitter) -> None:
    """Sums of all vectors of this share."""
    block, step = e.fields(e.args[0], Stream), CHAINS * e.lanes
    source = block.source
    first, last = share(e, block.count, step)
    with e.loop(0, block.passes, 1, [e.constant(e.f32s, 0)] * CHAINS) as again:
        with e.loop(first, e.sub(last, step - 1), step, again.carried) as loop:
            at = e.add(source, e.mul(loop.index, 4))
            vectors = [e.load(e.f32s, at, k * e.bytes) for k in range(CHAINS)]
            loop.next(*(e.b.fadd(x, v) for x, v in zip(loop.carried, vectors, strict=True)))
        again.next(*loop.results)
    _keep(e, block.to, again.results)


def _copy(e: Emitter) -> None:
    """All vectors of this share, one after the other."""
    block, step = e.fields(e.args[0], Stream), 4 * e.lanes
    source, to = block.source, block.to
    first, last = share(e, block.count, step)
    with e.loop(0, block.passes), e.loop(first, e.sub(last, step - 1), step) as loop:
        at = e.mul(loop.index, 4)
        vectors = [e.load(e.f32s, e.add(source, at), k * e.bytes) for k in range(4)]
        for k, vector in enumerate(vectors):
            e.store(vector, e.add(to, at), k * e.bytes)


def _keep(e: Emitter, to: Value, values: list[Value]) -> None:
    """Store a sum where that never happens, which the compiler does not know."""
    total = values[0]
    for value in values[1:]:
        total = e.b.fadd(total, value)
    with e.when(e.less(e.args[1], 0)):
        e.store(total, to)
