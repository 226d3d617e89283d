"""Launches of one GPU: started one by one, or recorded as a CUDA graph."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from netdsl.cuda.card import Bound, BoundLaunch

if TYPE_CHECKING:
    from netdsl.cuda.driver import DriverCard


class Launches(Bound):
    """Launches whose arguments lie where the driver reads them, from the beginning."""

    def __init__(self, card: DriverCard, launches: Sequence[BoundLaunch]) -> None:
        self._card, self._titles = card, [launch.title for launch in launches]
        self._kept: list[Any] = []
        self._calls = [self._call(launch) for launch in launches]

    def _call(self, launch: BoundLaunch) -> tuple[Any, ...]:
        data = ctypes.create_string_buffer(launch.arguments, len(launch.arguments))
        size = ctypes.c_size_t(len(launch.arguments))
        extra = (ctypes.c_void_p * 5)(1, ctypes.addressof(data), 2, ctypes.addressof(size), 0)
        self._kept += (data, size, extra)
        shape = (launch.blocks, 1, 1, launch.threads, 1, 1)
        return (launch.function, *shape, launch.shared), (0, ctypes.addressof(extra))

    def run(self) -> None:
        """Start all of them."""
        self._card.start(self._calls)

    def run_one(self, number: int) -> None:
        """Run one."""
        self._card.start(self._calls[number : number + 1])
        self._card.wait(self._titles[number])


class Recorded(Launches):
    """Launches that were recorded as one."""

    def __init__(self, card: DriverCard, launches: Sequence[BoundLaunch]) -> None:
        super().__init__(card, launches)
        self._graph = card.capture(super().run)
        weakref.finalize(self, card.forget, self._graph).atexit = False

    def run(self) -> None:
        """Start the recording."""
        self._card.replay(self._graph)
