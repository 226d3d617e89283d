"""Check a plan before it runs: every byte that a step reads or writes lies inside its buffers.

A kernel that writes outside of its buffers crashes the process or changes other values. So what each driver
will read and write is computed again here, in Python's integers, from the argument block alone: the code of the
planners is not used. A `Rule` says for one driver what the fields of its block make it do; `verify` applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from netdsl.backend.arguments import Block, Ints, Pointer, Reading, Rows
from netdsl.backend.step import Slot
from netdsl.cpu.contract.arguments import WORK_BYTES
from netdsl.cpu.step import Step
from netdsl.schedule import Layout, View

B = TypeVar("B", bound=Block)
R = TypeVar("R", bound=Block)


class Broken(Exception):
    """An error in a step."""


class Room(NamedTuple):
    """What a step may touch, under a name for messages: all of a view, but nothing that lies in its gaps."""

    name: str
    view: View


class Claims(Generic[B]):
    """The memory accesses of a step, stated by the rule of its driver and checked at once.

    `args` is its argument block, read back from the words. Beside what is stated a kernel may read, never write, up
    to one vector behind: all memory has room for that.
    """

    def __init__(self, step: Step, rooms: Callable[[Slot], Room]) -> None:
        self.step, self.rooms, self.layout = step, rooms, step.args.layout
        self.args = cast("B", Reading(self.layout, step.args.words.tolist()))
        self._tables = step.args.keep
        self._known: dict[str, Room] = {}
        self._spans: dict[tuple[int, int], tuple[int, int]] = {}

    def need(self, holds: bool, what: str) -> None:
        """Check a condition that the driver relies on."""
        if not holds:
            raise Broken(what)

    def positive(self, **values: int) -> None:
        """Counts that the driver divides by, or that a driver without work would not have."""
        for name, value in values.items():
            if value < 1:
                raise Broken(f"{name} is {value}")

    def slot(self, field: str) -> Slot:
        """Where a field points."""
        slot = self.step.slots.get(field)
        if slot is None:
            raise Broken(f"{field} points at no buffer")
        return slot

    def dense(self, *fields: str) -> None:
        """The driver takes what lies there for dense."""
        for field in fields:
            if self.slot(field).view.layout is not Layout.DENSE:
                raise Broken(f"{field} has gaps")

    def reads(self, field: str, end: int, first: int = 0, over: Over = (), gaps: bool = False) -> None:
        """Bytes `first` to `end` from where a field points are read, and again at (count, stride) of `over`.

        With `gaps` the view's gaps may be read along with it, for what is then not used.
        """
        self._inside("reads", field, first, end, over, gaps)

    def writes(self, field: str, end: int, first: int = 0, over: Over = ()) -> None:
        """Bytes `first` to `end` from where a field points are written, and again at (count, stride) of `over`."""
        if not self.slot(field).written:
            raise Broken(f"{field} points at what is only read, and is written")
        self._inside("writes", field, first, end, over)

    def _inside(self, verb: str, field: str, first: int, end: int, over: Over, gaps: bool = False) -> None:
        slot = self.slot(field)
        if field not in self._known:
            self._known[field] = self.rooms(slot)
        room, at = self._known[field], slot.view.offset
        held = room.view.hull() if gaps else room.view
        if not held.holds(at + first, end - first, over):
            low, high = span_of((n for n, _ in over), [s for _, s in over])
            start = at - room.view.offset
            apart = (
                "" if room.view.layout is Layout.DENSE else f" with gaps ({list(room.view.strides)} bytes)"
            )
            raise Broken(
                f"it {verb} bytes {start + first + low} to {start + end + high} of {room.name},"
                f" which has {room.view.type.nbytes}{apart}"
            )

    def workspace(self, end: int, first: int = 0) -> None:
        """Bytes `first` to `end` of the thread's buffer are used."""
        if first < end and (first < 0 or end > WORK_BYTES):
            raise Broken(f"it uses bytes {first} to {end} of a work buffer that has {WORK_BYTES}")

    def points(self, ints: Ints) -> bool:
        """Whether there is an array."""
        return cast("Pointer", ints).address != 0

    def table(self, ints: Ints, count: int) -> list[int]:
        """`count` int64s of an array that the block points at."""
        pointer = cast("Pointer", ints)
        return self._array(pointer.address, count, 1)

    def span(self, ints: Ints, count: int) -> tuple[int, int]:
        """The lowest and the highest number of such an array; 0 where it has none."""
        key = cast("Pointer", ints).address, count
        if key not in self._spans:  # panels of one convolution share their tables
            found = self.table(ints, count)
            self._spans[key] = min(found, default=0), max(found, default=0)
        return self._spans[key]

    def rows(self, rows: Rows[R], count: int) -> list[R]:
        """`count` rows of a table that the block points at."""
        pointer = cast("Pointer", rows)
        assert pointer.row is not None
        width = pointer.row.words
        flat = self._array(pointer.address, count, width)
        found = [Reading(pointer.row, flat[k * width : (k + 1) * width]) for k in range(count)]
        return cast("list[R]", found)

    def _array(self, address: int, count: int, width: int) -> list[int]:
        if not count:
            return []
        array = self._tables.get(address)
        if array is None:
            raise Broken(f"a table of {count} x {width} words is not kept")
        if array.size < count * width or array.itemsize != 8:
            raise Broken(f"a table has {array.size} words, {count} x {width} are read")
        return list(array.reshape(-1)[: count * width].tolist())

    def floats(self, address: int, count: int) -> None:
        """So many floats are read from an array that the block points at."""
        array = self._tables.get(address)
        if array is None or array.nbytes < 4 * count:
            raise Broken(
                f"{count} floats are read from an array of {0 if array is None else array.nbytes} bytes"
            )


Over = Sequence[tuple[int, int]]
Rule = Callable[[Claims[Any]], None]
"""States what the steps of a driver do."""


def span_of(sizes: Iterable[int], strides: Sequence[int]) -> tuple[int, int]:
    """The lowest and the highest sum of index times stride over a box of indices."""
    moves = [(n - 1) * s for n, s in zip(sizes, strides, strict=True)]
    return sum(m for m in moves if m < 0), sum(m for m in moves if m > 0)
