"""Check a plan before it runs: every byte that a step reads or writes lies inside its buffers.

A kernel that writes outside of its buffers crashes the process or changes other values. So what each driver
will read and write is computed again here, in Python's integers, from the argument block alone: the code of the
planners is not used. A `Rule` says for one driver what the words of its block make it do; `verify` applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.backend.step import Slot
from netdsl.cpu.contract.words import BUFFER_BYTES
from netdsl.cpu.step import Step
from netdsl.schedule import Layout, View


class Broken(Exception):
    """An error in a step."""


@dataclass(frozen=True)
class Room:
    """What a step may touch, under a name for messages: all of a view, but nothing that lies in its gaps."""

    name: str
    view: View


class Claims:
    """The memory accesses of a step, stated by the rule of its driver and checked at once.

    Beside what is stated a kernel may read, never write, up to one vector behind: all memory has room for that.
    """

    def __init__(self, step: Step, rooms: Callable[[Slot], Room]) -> None:
        self.step, self.rooms = step, rooms
        self.words: list[int] = step.args.tolist()
        self._tables = {a.ctypes.data: a for a in step.keep}
        self._known: dict[int, Room] = {}

    def __getitem__(self, word: int) -> int:
        if not 0 <= word < len(self.words):
            raise Broken(f"its block has {len(self.words)} words, word {word} is read")
        return self.words[word]

    def many(self, first: int, count: int) -> list[int]:
        """`count` words from `first` on."""
        if first < 0 or first + count > len(self.words):
            raise Broken(
                f"its block has {len(self.words)} words, words {first} to {first + count - 1} are read"
            )
        return self.words[first : first + count]

    def need(self, holds: bool, what: str) -> None:
        """Check a condition that the driver relies on."""
        if not holds:
            raise Broken(what)

    def positive(self, **values: int) -> None:
        """Counts that the driver divides by, or that a driver without work would not have."""
        for name, value in values.items():
            self.need(value >= 1, f"{name} is {value}")

    def slot(self, word: int) -> Slot:
        """Where a word points."""
        slot = self.step.slots.get(word)
        if slot is None:
            raise Broken(f"word {word} points at no buffer")
        return slot

    def reads(self, word: int, end: int, first: int = 0, over: Over = (), gaps: bool = False) -> None:
        """Bytes `first` to `end` from where a word points are read, and again at (count, stride) of `over`.

        With `gaps` the view's gaps may be read along with it, for what is then not used.
        """
        self._inside("reads", word, first, end, over, gaps)

    def writes(self, word: int, end: int, first: int = 0, over: Over = ()) -> None:
        """Bytes `first` to `end` from where a word points are written, and again at (count, stride) of `over`."""
        self.need(self.slot(word).written, f"word {word} points at what is only read, and is written")
        self._inside("writes", word, first, end, over)

    def _inside(self, verb: str, word: int, first: int, end: int, over: Over, gaps: bool = False) -> None:
        slot = self.slot(word)
        if word not in self._known:
            self._known[word] = self.rooms(slot)
        room, at = self._known[word], slot.view.offset
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
        if first < end and (first < 0 or end > BUFFER_BYTES):
            raise Broken(f"it uses bytes {first} to {end} of a work buffer that has {BUFFER_BYTES}")

    def table(self, address: int, count: int, width: int = 1) -> list[Any]:
        """`count` rows of `width` words (plain words for 1) of a table that the block points at."""
        if not count:
            return []
        array = self._tables.get(address)
        if array is None:
            raise Broken(f"a table of {count} x {width} words is not kept")
        if array.size < count * width or array.itemsize != 8:
            raise Broken(f"a table has {array.size} words, {count} x {width} are read")
        flat = array.reshape(-1)[: count * width]
        return list(flat.tolist() if width == 1 else flat.reshape(count, width).tolist())

    def floats(self, address: int, count: int) -> None:
        """So many floats are read from an array that the block points at."""
        array = self._tables.get(address)
        if array is None or array.nbytes < 4 * count:
            raise Broken(
                f"{count} floats are read from an array of {0 if array is None else array.nbytes} bytes"
            )


Over = Sequence[tuple[int, int]]
Rule = Callable[[Claims], None]
"""States what the steps of a driver do."""


def span_of(sizes: Iterable[int], strides: Sequence[int]) -> tuple[int, int]:
    """The lowest and the highest sum of index times stride over a box of indices."""
    moves = [(n - 1) * s for n, s in zip(sizes, strides, strict=True)]
    return sum(m for m in moves if m < 0), sum(m for m in moves if m > 0)
