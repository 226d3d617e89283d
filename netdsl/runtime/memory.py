"""Memory that the kernels work on: aligned, zeroed, checked against the machine before it is asked for."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.source import Diagnostic, NetError

ALIGNMENT = 64


def machine_memory() -> int:
    """Bytes of memory of this machine; 2**63 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**63


def check_fits(total: int, what: str) -> None:
    """Raise NetError when `total` bytes are more than this machine has."""
    available = machine_memory()
    if total > available:
        message = f"{what} needs {total / 2**30:.1f} GiB, this machine has {available / 2**30:.1f} GiB"
        raise NetError(Diagnostic("memory", message))


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """`size` zero bytes that start on a cache line."""
    # Kernels may read (but not write) up to one vector past the end.
    raw = np.zeros(size + 3 * ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


class Workspace:
    """A block of memory that programs work in, one at a time.

    `user` is the number of the program that was the last to work here: what others left here is lost to them.
    """

    def __init__(self, size: int) -> None:
        self.memory = aligned_bytes(size)
        self.lock = threading.Lock()
        self.user = 0
        with _listing:
            _workspaces.add(self)


_workspaces: weakref.WeakSet[Workspace] = weakref.WeakSet()
_listing = threading.Lock()
_held: list[Workspace] = []


def _before_fork() -> None:
    """Let runs of other threads end: a child inherits no half update, and no lock that nobody gives back."""
    _listing.acquire()
    for workspace in list(_workspaces):
        workspace.lock.acquire()
        _held.append(workspace)


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _listing.release()


if hasattr(os, "register_at_fork"):
    # What is registered last is done first: these locks are taken before those of the team and of the kernel
    # libraries, as in a run. Importing this package imports those two first.
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def aligned_array(t: TensorType) -> NDArray[Any]:
    """A zeroed array of a type."""
    # Kernels need an address for an empty array too.
    raw = aligned_bytes(max(t.nbytes, 1))
    return raw[: t.nbytes].view(NUMPY_DTYPE[t.dtype]).reshape(t.shape)
