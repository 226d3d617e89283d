"""Where a thread is in an iteration space, and where its elements lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from netdsl.backend.axes import Axis
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.step import Parameter

THREADS = 256
"""Of a block of most kernels."""
WARP = 32
MOST = 2**31
"""Elements of a space: indices are uint32, and divided by multiplying."""


@dataclass(frozen=True)
class Divisor:
    """`n // d` of n below 2^31 as `n * factor >> shift` (Granlund and Montgomery 1994)."""

    factor: int
    shift: int

    @staticmethod
    def of(d: int) -> Divisor:
        """The divisor of a number from 1 to 2^31."""
        bits = (d - 1).bit_length()
        return Divisor(-(-(1 << 31 + bits) // d), 31 + bits)


def divisor_parameters(name: str) -> list[Parameter]:
    """A number that is divided by, and what it is multiplied with and shifted by instead."""
    return [Parameter(name, "u32"), Parameter(f"{name}_factor", "u32"), Parameter(f"{name}_shift", "u32")]


def divisor_values(name: str, value: int) -> dict[str, int]:
    """The arguments of `divisor_parameters`."""
    d = Divisor.of(value)
    return {name: value, f"{name}_factor": d.factor, f"{name}_shift": d.shift}


def divided(out: Lines, n: str, name: str) -> tuple[str, str]:
    """The quotient and the remainder of a uint32 below 2^31 by the number of a name."""
    quotient, rest = out.fresh(), out.fresh()
    out.add(f"{quotient}, {rest} = divided({n}, {name}, {name}_factor, {name}_shift)")
    return quotient, rest


def nest_parameters(dims: int, streams: int, name: str = "") -> list[Parameter]:
    """The size of a space, those of all axes but the first as divisors, and the strides of each stream.

    `name` tells apart the spaces of a kernel that has several.
    """
    found = [Parameter(f"{name}count", "u32")]
    for k in range(1, dims):
        found += divisor_parameters(f"{name}size{k}")
    found += [Parameter(f"{name}stride{s}_{k}", "i64") for s in range(streams) for k in range(dims)]
    return found


def nest_values(axes: Sequence[Axis], items: Sequence[int], name: str = "") -> dict[str, int]:
    """The arguments of `nest_parameters`; strides are in elements of `items` bytes."""
    count = 1
    values: dict[str, int] = {}
    for k, axis in enumerate(axes):
        count *= axis.size
        if k:
            values |= divisor_values(f"{name}size{k}", axis.size)
        for s, (b, i) in enumerate(zip(axis.strides, items, strict=True)):
            values[f"{name}stride{s}_{k}"] = b // i
    return {f"{name}count": count, **values}


def space_values(*space: int) -> dict[str, int]:
    """The arguments of `nest_parameters` without streams, for a space of these sizes."""
    return nest_values([Axis(n, False, ()) for n in space], [])


def coordinates(out: Lines, flat: str, dims: int, name: str = "") -> list[str]:
    """The coordinate along each axis of a flat index, row-major."""
    found: list[str] = []
    for k in reversed(range(1, dims)):
        flat, rest = divided(out, flat, f"{name}size{k}")
        found.append(rest)
    return [flat, *reversed(found)]


@contextmanager
def each_element(out: Lines, dims: int) -> Iterator[tuple[str, list[str]]]:
    """A thread for each element of a space: the lines for it, with its flat index and its coordinates."""
    flat = out.let(f"uint32(cuda.blockIdx.x * {THREADS} + cuda.threadIdx.x)")
    with out.block(f"if {flat} < count"):
        yield flat, coordinates(out, flat, dims)


def place(out: Lines, stream: int, at: Sequence[str], name: str = "") -> str:
    """The element of a stream at coordinates."""
    strides = "".join(f"{name}stride{stream}_{k}, " for k in range(len(at)))
    return out.let(f"place(({', '.join(at)},), ({strides}))")
