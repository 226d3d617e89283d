"""How much memory this machine has, and how many processors."""

from __future__ import annotations

import os

from netdsl.source import Diagnostic, NetError


def machine_memory() -> int:
    """Bytes of memory of this machine; 2**63 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**63


def check_fits(total: int, what: str, available: int | None = None, where: str = "this machine") -> None:
    """Raise NetError when `total` bytes are more than there are: `available`, or those of this machine."""
    most = machine_memory() if available is None else available
    if total > most:
        message = f"{what} needs {total / 2**30:.1f} GiB, {where} has {most / 2**30:.1f} GiB"
        raise NetError(Diagnostic("memory", message))


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
