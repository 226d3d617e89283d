"""Programs that do not fit into the memory of their device: what they need, and how many samples at a time fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from netdsl.backend.layout import Footprint, Layout, lay_out
from netdsl.backend.memory import OutOfMemory
from netdsl.backend.registry import Device, find_target
from netdsl.backend.target import Room, Target
from netdsl.ir import Graph, ShapeError
from netdsl.report.sizes import bytes_text
from netdsl.source import Diagnostic, NetError, counted


@dataclass(frozen=True)
class Demand:
    """What a program asks of its device, or of another `gpu` by its number.

    `needed` are the bytes that its allocations take there; leaves of the names in `shared` are there already.
    """

    footprint: Footprint
    needed: int
    gpu: int | None = None
    shared: Collection[str] = ()

    @staticmethod
    def of(
        layout: Layout, target: Target[Any], gpu: int | None, shared: Collection[str] = (), lent: bool = False
    ) -> Demand:
        """That of a layout; `lent` says that its arena is there already."""
        needed = target.on(gpu).taken(layout.allocations(gpu, shared, lent))
        return Demand(layout.footprint_on(gpu), needed, gpu, shared)


class NoRoom(OutOfMemory):
    """A program that needs more memory than is free; `said` is what the device says, where it was asked."""

    def __init__(self, demand: Demand, room: Room, said: str = "", at: str = "", fix: str = "") -> None:
        sizes = {**demand.footprint.parts, "results": 0}  # these are arrays of the caller
        parts = ", ".join(f"{bytes_text(size)} {what}" for what, size in sizes.items() if size)
        has = f"{room.where} has {bytes_text(room.total)}"
        if room.free < room.total:
            has += f", {bytes_text(room.free)} of it free"
        need = f"the network needs {bytes_text(demand.needed)} of memory{at}"
        super().__init__(
            Diagnostic("memory", f"{need} ({parts}), {has}{said and ': '}{said}", fix=fix or None)
        )
        self.demand, self.room, self.said = demand, room, said

    def advising(self, samples: int, fix: str) -> NoRoom:
        """The same of a program for so many samples at a time, with advice."""
        return NoRoom(self.demand, self.room, self.said, f" for {counted(samples, 'sample')} at a time", fix)


@contextmanager
def room_for(demand: Demand, target: Target[Any]) -> Iterator[None]:
    """Raise NoRoom where a program will not fit, or where the device refuses memory in the body."""
    target = target.on(demand.gpu)
    room = target.room()
    if demand.needed > room.free:
        raise NoRoom(demand, room)
    try:
        yield
    except NoRoom:
        raise
    except OutOfMemory as error:
        raise NoRoom(demand, target.room(), error.diagnostics[0].message) from error


@contextmanager
def advising(samples: int, make: Callable[[int], Graph], device: Device, fix: str) -> Iterator[None]:
    """Let the error of a program that does not fit say how many samples at a time would.

    `make` gives the primitives for a number of samples, `fix` has a {} where the number belongs.  Nothing is
    allocated to find it: programs of fewer samples are planned.
    """
    try:
        yield
    except NoRoom as error:
        demand, target = error.demand, find_target(device)
        if error.room.free >= demand.needed:  # there should be enough: nobody knows how much less would do
            raise error.advising(samples, "a smaller batch needs less") from error

        def needed(n: int) -> int:
            return Demand.of(lay_out(make(n), target), target, demand.gpu, demand.shared).needed

        try:
            most = last_below(needed, error.room.free, samples - 1, (samples, demand.needed))
        except (NetError, ShapeError):  # a layer that takes no other number of samples
            raise error from None
        advice = (
            fix.format(most) if most else "not one sample fits: it takes another device, or fewer weights"
        )
        raise error.advising(samples, advice) from error


def last_below(
    total: Callable[[int], int], limit: int, most: int, known: tuple[int, int] | None = None
) -> int:
    """The largest number from 1 to `most` with total(n) <= limit, or 0; totals grow nearly along a line.

    `known` is another number and its total.
    """
    fits, fails = 0, most + 1
    at, last = 1, known or (0, 0)
    while fits + 1 < fails:
        size = total(at)
        fits, fails = (at, fails) if size <= limit else (fits, at)
        slope = max(1, (size - last[1]) // (at - last[0]))
        # The slope of a ray through zero is far too steep: go on to batch 2 for the first one.
        guess = 2 if last == (0, 0) else at + (limit - size) // slope
        at, last = min(max(guess, fits + 1), fails - 1), (at, size)
    return fits
