"""Programs that do not fit into the memory of their device: what they need, and how many samples at a time fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from netdsl.backend.layout import Footprint, lay_out
from netdsl.backend.memory import OutOfMemory
from netdsl.backend.registry import Device, find_target
from netdsl.backend.target import Room, Target
from netdsl.ir import Graph, ShapeError
from netdsl.report.sizes import bytes_text
from netdsl.source import Diagnostic, NetError, counted


class NoRoom(OutOfMemory):
    """A program that needs more memory than is free.

    `needed` are the bytes that it would ask for: its footprint on the device, without what it shares.  `gpu` is the
    number of another GPU, where that is the one without room, `said` what the device says, where it was asked.
    """

    def __init__(
        self,
        footprint: Footprint,
        needed: int,
        room: Room,
        gpu: int | None,
        said: str = "",
        at: str = "",
        fix: str = "",
    ) -> None:
        sizes = {**footprint.parts, "results": 0}  # these are arrays of the caller
        parts = ", ".join(f"{bytes_text(size)} {what}" for what, size in sizes.items() if size)
        has = f"{room.where} has {bytes_text(room.total)}"
        if room.free < room.total:
            has += f", {bytes_text(room.free)} of it free"
        text = f"the network needs {bytes_text(needed)} of memory{at} ({parts}), {has}{said and ': '}{said}"
        super().__init__(Diagnostic("memory", text, fix=fix or None))
        self.footprint, self.needed, self.room = footprint, needed, room
        self.gpu, self.said = gpu, said

    def advising(self, samples: int, fix: str) -> NoRoom:
        """The same of a program for so many samples at a time, with advice."""
        at = f" for {counted(samples, 'sample')} at a time"
        return NoRoom(self.footprint, self.needed, self.room, self.gpu, self.said, at, fix)


@contextmanager
def room_for(
    footprint: Footprint, needed: int, target: Target[Any], gpu: int | None = None
) -> Iterator[None]:
    """Raise NoRoom where a program will not fit, or where the device refuses memory in the body."""
    room = target.room()
    if needed > room.free:
        raise NoRoom(footprint, needed, room, gpu)
    try:
        yield
    except NoRoom:
        raise
    except OutOfMemory as error:
        raise NoRoom(footprint, needed, target.room(), gpu, error.diagnostics[0].message) from error


@contextmanager
def advising(samples: int, make: Callable[[int], Graph], device: Device, fix: str) -> Iterator[None]:
    """Let the error of a program that does not fit say how many samples at a time would.

    `make` gives the primitives for a number of samples, `fix` has a {} where the number belongs.  Nothing is
    allocated to find it: programs of fewer samples are planned.
    """
    try:
        yield
    except NoRoom as error:
        if error.room.free >= error.needed:  # there should be enough: nobody knows how much less would do
            raise error.advising(samples, "a smaller batch needs less") from error
        target, gpu, shared = find_target(device), error.gpu, error.footprint.held - error.needed

        def needed(n: int) -> int:
            return lay_out(make(n), target).footprint_on(gpu).held - shared

        try:
            most = last_below(needed, error.room.free, samples - 1, (samples, error.needed))
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
