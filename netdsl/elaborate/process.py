"""Process-wide settings of Python that an elaboration changes, restored when the last elaboration ends.

Elaborations may run in several threads at once, and both settings belong to all of them.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: calls within calls: trees are at most 250 deep and blocks 50, which Python's default of 1,000 does not allow for
DEEP = 20_000


class _Depth:
    """The recursion limit: the first elaboration raises it, the last one restores it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before = 0

    def enter(self) -> None:
        """Allow for deep recursion."""
        with self.lock:
            if self.inside == 0:
                self.before = sys.getrecursionlimit()
                sys.setrecursionlimit(max(self.before, DEEP))
            self.inside += 1

    def leave(self) -> None:
        """Put the limit back, unless somebody else has changed it meanwhile."""
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and sys.getrecursionlimit() == max(self.before, DEEP):
                sys.setrecursionlimit(self.before)


_depth = _Depth()


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let calls nest DEEP within each other."""
    _depth.enter()
    try:
        yield
    finally:
        _depth.leave()


@contextmanager
def no_collection() -> Iterator[None]:
    """Turn garbage collection off: trees and graphs are many objects that stay, and scanning them is slow."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
