"""Settings of this process that belong to Python: changed by the first who asks, restored when the last is done.

Networks may be read and compiled in several threads at once, and the settings belong to all of them.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: calls within calls: trees are at most 250 deep and blocks 50, which Python's default of 1,000 does not allow for
DEEP = 20_000


class _Setting:
    """A setting: `change` changes it and returns how to restore it."""

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._restore: Callable[[], object] = change
        self._lock = threading.Lock()
        self._threads: list[int] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @contextmanager
    def changed(self) -> Iterator[None]:
        """Change it for the length of a block."""
        thread = threading.get_ident()
        with self._lock:
            if not self._threads:
                self._restore = self._change()
            self._threads.append(thread)
        try:
            yield
        finally:
            with self._lock:
                self._threads.remove(thread)
                if not self._threads:
                    self._restore()

    def _forked(self) -> None:
        """A child has one thread: for what the others of its parent had begun, nobody else would restore it."""
        self._lock = threading.Lock()
        if self._threads:
            self._threads = [thread for thread in self._threads if thread == threading.get_ident()]
            if not self._threads:
                self._restore()


def _deepen() -> Callable[[], None]:
    before = sys.getrecursionlimit()
    deep = max(before, DEEP)
    sys.setrecursionlimit(deep)

    def restore() -> None:
        if sys.getrecursionlimit() == deep:  # else somebody has changed it meanwhile
            sys.setrecursionlimit(before)

    return restore


def _pause() -> Callable[[], None]:
    enabled = gc.isenabled()
    gc.disable()
    return gc.enable if enabled else lambda: None


deep_recursion = _Setting(_deepen).changed
"""Lets calls nest DEEP within each other."""
no_collection = _Setting(_pause).changed
"""Turns garbage collection off.

Trees, graphs and plans are some hundred thousand objects that stay, and are made at once: looking through all objects
of the process for garbage, again and again while they are made, takes a fifth of the time to compile a network.
"""
