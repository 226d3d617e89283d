"""How much memory this machine has, and how many processors."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from netdsl.source import Diagnostic, NetError, counted


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
    """How many processors this process may use: those it may run on, and no more than its control group pays for."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_quotas(), default=math.inf)
    return usable if quota >= usable else max(1, math.ceil(quota))


def _quotas() -> Iterator[float]:
    """The processors that Linux allows the control groups of this process, as containers are limited."""
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in own:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _limits(Path("/sys/fs/cgroup"), path, _unified)
        elif "cpu" in controllers.split(","):
            yield from _limits(Path("/sys/fs/cgroup/cpu"), path, _legacy)


def _limits(root: Path, path: str, limit: Callable[[Path], float]) -> Iterator[float]:
    """Those of a group and of all that it is in; in a container the group is often mounted as the root itself."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts) + 1):
        try:
            yield limit(root.joinpath(*parts[:depth]))
        except OSError:  # no such group, or not ours to read: it limits nothing that we know of
            continue


def _unified(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _legacy(group: Path) -> float:
    quota = int((group / "cpu.cfs_quota_us").read_text())
    return math.inf if quota < 0 else quota / int((group / "cpu.cfs_period_us").read_text())


def load() -> float | None:
    """How many processes have wanted a processor in the last minute, on average; None where nobody counts them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def load_text(load: float | None, peak: bool) -> str | None:
    """What to say of measurements, with or without the peak, that others have disturbed; None where they have not."""
    count = processors()
    if load is None or load <= count / 2:
        return None
    many = counted(count, "processor")
    lower = ", and the peak too low" if peak else ""
    return f"the machine was busy (load {load:.1f}, {many}): times are too long{lower}"
