"""Loop nests over strided streams: planned in Python, run by odometers whose sizes and strides are data.

A stream is what a loop walks along: an operand, a result, or a coordinate, whose "address" is its value.  Axes that
are neighbours in memory for every stream are merged, so that most nests have one or two axes.  The code depends on
nothing but the element type of each stream and on whether it moves along the innermost axis (the columns).

Argument block of a nest of P streams (words):

    0 units  1 most parts  2 rows a unit  3 columns a unit  4 columns
    5.. outer nest: rows, row axis, number of further axes, where their table starts
    9.. inner (reduced) nest: the same four words
    13.. P base addresses, P column strides, P row strides of the outer nest, P of the inner nest
    then the tables: per further axis its size and P strides.

All strides are in bytes (in units for coordinates).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu.emit import Emitter, Int, Value
from netdsl.cpu.step import Slot
from netdsl.ir.types import ITEM_SIZE

HEADER = 13
OUTER, INNER = 5, 9
SMALL = 16384


@dataclass(frozen=True)
class Stream:
    """`strides` in elements for each axis of the space; `kind` is a dtype, "index" (i64) or "flat" (u32)."""

    kind: str
    strides: tuple[int, ...]
    slot: Slot | None = None

    @property
    def item(self) -> int:
        """Bytes of an element; 1 for coordinates."""
        return ITEM_SIZE.get(self.kind, 1)

    @property
    def code(self) -> str:
        """What the generated code depends on: the kind, and whether columns move it."""
        return self.kind + ("v" if self.strides[-1] else "s")


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def broadcast_strides(shape: Sequence[int], space: Sequence[int]) -> tuple[int, ...]:
    """Strides of a dense value of `shape` along the axes of `space` into which it broadcasts."""
    own = dense_strides(shape)
    lead = len(space) - len(shape)
    return tuple(0 if k < lead or shape[k - lead] == 1 else own[k - lead] for k in range(len(space)))


@dataclass(frozen=True)
class Nest:
    """Sizes of axes and the streams along them; `reduced` marks axes that a reduction sums over."""

    sizes: tuple[int, ...]
    streams: tuple[Stream, ...]
    reduced: tuple[bool, ...]

    def collapsed(self, keep_last: bool = False) -> Nest:
        """Without axes of size 1, neighbours merged where every stream allows it; at least one axis."""
        axes: list[list[int]] = []  # size, reduced, strides of all streams
        for k, size in enumerate(self.sizes):
            last = k == len(self.sizes) - 1
            if size == 1 and not (last and keep_last):
                continue
            new = [size, int(self.reduced[k]), *(s.strides[k] for s in self.streams)]
            if axes and not (last and keep_last) and _mergeable(axes[-1], new):
                new[0] *= axes.pop()[0]
            axes.append(new)
        if not axes:
            axes.append([1, int(all(self.reduced)) if self.reduced else 0, *(0 for _ in self.streams)])
        return self._with(axes)

    def ordered(self) -> Nest:
        """Kept axes before reduced ones, the last axis (the columns) left in place."""
        rank = len(self.sizes) - 1
        order = [k for k in range(rank) if not self.reduced[k]]
        order += [k for k in range(rank) if self.reduced[k]] + [rank]
        return self._with(
            [[self.sizes[k], int(self.reduced[k]), *(s.strides[k] for s in self.streams)] for k in order]
        )

    def _with(self, axes: Sequence[Sequence[int]]) -> Nest:
        streams = tuple(replace(s, strides=tuple(a[2 + j] for a in axes)) for j, s in enumerate(self.streams))
        return Nest(tuple(a[0] for a in axes), streams, tuple(bool(a[1]) for a in axes))

    @property
    def columns(self) -> int:
        """Size of the innermost axis."""
        return self.sizes[-1]

    def rows(self, reduced: bool) -> int:
        """How many rows the kept (or the reduced) axes outside of the columns make."""
        kinds = zip(self.sizes[:-1], self.reduced[:-1], strict=True)
        return math.prod(size for size, r in kinds if r == reduced)

    def pack(self, units: int, most_parts: int, row_block: int, column_block: int) -> NDArray[np.int64]:
        """The argument block, base addresses left 0."""
        words = [units, most_parts, row_block, column_block, self.columns]
        tables: list[int] = []
        strides: list[list[int]] = []
        start = HEADER + 4 * len(self.streams)
        for reduced in (False, True):
            axes = [k for k in range(len(self.sizes) - 1) if self.reduced[k] == reduced]
            row, outer = (axes[-1:], axes[:-1])
            words += [self.rows(reduced), self.sizes[row[0]] if row else 1, len(outer), start + len(tables)]
            strides.append([s.strides[row[0]] * s.item if row else 0 for s in self.streams])
            for k in outer:
                tables += [self.sizes[k], *(s.strides[k] * s.item for s in self.streams)]
        bases = [0 for _ in self.streams]
        columns = [s.strides[-1] * s.item for s in self.streams]
        return np.array([*words, *bases, *columns, *strides[0], *strides[1], *tables], np.int64)

    def slots(self) -> dict[int, Slot]:
        """Where base addresses go."""
        return {HEADER + j: s.slot for j, s in enumerate(self.streams) if s.slot is not None}


def _mergeable(outer: Sequence[int], inner: Sequence[int]) -> bool:
    same = outer[1] == inner[1]
    return same and all(a == b * inner[0] for a, b in zip(outer[2:], inner[2:], strict=True))


def most_parts(elements: int, cost: int) -> int:
    """1 for work that is not worth waking another thread for, else no limit worth naming."""
    return 1 if elements * max(cost, 2) < 2 * SMALL else 1 << 20


# --- code ----------------------------------------------------------------------------------------


class NestCode:
    """Emits the odometers of a nest of `count` streams whose argument block is at `block`."""

    def __init__(self, e: Emitter, block: Value, count: int) -> None:
        self.e, self.block, self.count = e, block, count
        self.columns = e.field(block, 4)

    def words(self, start: int) -> list[Value]:
        """One word for each stream."""
        return [self.e.field(self.block, start + j) for j in range(self.count)]

    def bases(self) -> list[Value]:
        """The base addresses."""
        return self.words(HEADER)

    def column_strides(self) -> list[Value]:
        """Bytes from column to column."""
        return self.words(HEADER + self.count)

    def moved(self, addresses: Iterable[Value], strides: Iterable[Value], by: Int) -> list[Value]:
        """Addresses moved by a number of strides."""
        e = self.e
        return [e.add(a, e.mul(s, by)) for a, s in zip(addresses, strides, strict=True)]

    def share(self, body: Callable[[Value], None]) -> None:
        """Run `body(unit)` for the units of this part; the split does not change what a unit is."""
        e, (_, part, parts) = self.e, self.e.args
        units, limit = e.field(self.block, 0), e.field(self.block, 1)
        team = e.min_int(parts, limit)
        with e.when(e.less(part, team)):
            first = e.b.sdiv(e.mul(units, part), team)
            stop = e.b.sdiv(e.mul(units, e.add(part, 1)), team)
            with e.loop(first, stop) as loop:
                body(loop.index)

    def blocks(self, unit: Value, nest: int = OUTER) -> tuple[Value, Value, Value, Value]:
        """(first row, rows, first column, columns) of a unit: column blocks run fastest."""
        e = self.e
        total, height, width = e.field(self.block, nest), e.field(self.block, 2), e.field(self.block, 3)
        across = self.column_blocks()
        row, column = self.divide(unit, across)
        row, column = e.mul(row, height), e.mul(column, width)
        rows = e.min_int(height, e.sub(total, row))
        return row, rows, column, e.min_int(width, e.sub(self.columns, column))

    def column_blocks(self) -> Value:
        """How many blocks the columns make."""
        e, width = self.e, self.e.field(self.block, 3)
        return e.b.sdiv(e.add(self.columns, e.sub(width, 1)), width)

    def divide(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Quotient and remainder of non-negative numbers."""
        quotient = self.e.b.sdiv(a, b)
        return quotient, self.e.sub(a, self.e.mul(quotient, b))

    def segments(
        self,
        nest: int,
        first: Value,
        rows: Value,
        addresses: Sequence[Value],
        body: Callable[[list[Value], Value, list[Value]], Sequence[Value]],
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """Run `body(addresses, rows, carried)` for each stretch of rows along the row axis.

        `first` and `rows` count rows over all axes of the nest.  The body returns what the next stretch carries.
        """
        e = self.e
        total, axis = e.add(first, rows), e.field(self.block, nest + 1)
        strides = self.words(HEADER + self.count * (2 if nest == OUTER else 3))
        start, stop = e.b.sdiv(first, axis), e.b.sdiv(e.add(total, e.sub(axis, 1)), axis)
        with e.loop(start, stop, 1, carried) as loop:
            begin = e.mul(loop.index, axis)
            low = e.max_int(e.sub(first, begin), 0)
            high = e.min_int(e.sub(total, begin), axis)
            here = self.moved(self._outer(nest, loop.index, addresses), strides, low)
            loop.next(*body(here, e.sub(high, low), list(loop.carried)))
        return loop.results

    def rows(
        self,
        nest: int,
        addresses: Sequence[Value],
        rows: Value,
        body: Callable[[list[Value], list[Value]], Sequence[Value]],
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """Run `body(addresses, carried)` for each of `rows` rows along the row axis."""
        strides = self.words(HEADER + self.count * (2 if nest == OUTER else 3))
        with self.e.loop(0, rows, 1, (*addresses, *carried)) as loop:
            here, rest = list(loop.carried[: self.count]), list(loop.carried[self.count :])
            after = body(here, rest)
            loop.next(*self.moved(here, strides, 1), *after)
        return loop.results[self.count :]

    def _outer(self, nest: int, index: Value, addresses: Sequence[Value]) -> list[Value]:
        """Addresses at a flat index over the further axes of a nest."""
        e = self.e
        axes, table = e.field(self.block, nest + 2), e.field(self.block, nest + 3)
        width = 1 + self.count
        last = e.add(table, e.mul(e.sub(axes, 1), width))
        with e.loop(0, axes, 1, (index, *addresses)) as loop:
            at = e.add(self.block, e.mul(e.sub(last, e.mul(loop.index, width)), 8))
            quotient, coordinate = self.divide(loop.carried[0], e.field(at, 0))
            strides = [e.field(at, 1 + j) for j in range(self.count)]
            loop.next(quotient, *self.moved(loop.carried[1:], strides, coordinate))
        return loop.results[1:]
