"""The blocks of memory that programs work in, one at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping

from netdsl.backend.forks import Turn, hold_across_forks
from netdsl.backend.memory import Memory


class Workspace:
    """Blocks of memory that programs work in, one at a time: of the device (None), and of other GPUs by number.

    `user` is the number of the program that was the last to work here: what others left here is lost to them.
    """

    def __init__(self, memories: dict[int | None, Memory]) -> None:
        self.memories = memories
        self.lock = threading.Lock()
        self.user = 0
        with _listing:
            _workspaces.add(self)

    @property
    def memory(self) -> Memory:
        """That of the device."""
        return self.memories[None]

    def holds(self, sizes: Mapping[int | None, int]) -> bool:
        """Whether there are so many bytes on each device."""
        return all(gpu in self.memories and self.memories[gpu].size >= n for gpu, n in sizes.items())


_workspaces: weakref.WeakSet[Workspace] = weakref.WeakSet()
_listing = threading.Lock()
_held: list[Workspace] = []


def _before_fork() -> None:
    """Let runs of other threads end."""
    _listing.acquire()
    for workspace in list(_workspaces):
        workspace.lock.acquire()
        _held.append(workspace)


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _listing.release()


hold_across_forks(Turn.MEMORY, _before_fork, _after_fork)
