"""Threads that run programs together.

They are our own threads, not Numba's threading layers: entering a parallel region costs 1 us instead of 2 (OpenMP)
to 77 (workqueue), and a program needs one region for all of its steps.
"""

from __future__ import annotations

import atexit
import ctypes
import threading

import numpy as np
from numpy.typing import NDArray

from netdsl import machine
from netdsl.backend.arguments import Arguments
from netdsl.backend.forks import Turn, hold_across_forks
from netdsl.backend.memory import aligned_bytes
from netdsl.cpu.codegen.library import KernelLibrary, once
from netdsl.cpu.contract.arguments import WORKSPACE_BYTES
from netdsl.cpu.threads import team_drivers
from netdsl.cpu.threads.phases import Phases
from netdsl.cpu.threads.team_drivers import TeamBlock
from netdsl.native import host
from netdsl.native.host import HostError
from netdsl.source import Diagnostic, warn

_INT = ctypes.c_int64


@once
def _library() -> KernelLibrary:
    return KernelLibrary("team", team_drivers.kernels())


class Team:
    """`threads` threads, of which the caller is the first; the others wait in machine code, without the GIL.

    Kernels work in memory of the team, so callers need no more stack than Python does.

    Errors: HostError when the system gives fewer threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        self._submit = ctypes.CFUNCTYPE(None, _INT)(_library().address("submit"))
        self._alone = ctypes.CFUNCTYPE(None, _INT, _INT, _INT)(_library().address("alone"))
        self._worker = ctypes.CFUNCTYPE(None, _INT, _INT)(_library().address("worker"))
        self._own = threading.local()
        self._workspaces = aligned_bytes(threads * WORKSPACE_BYTES if threads > 1 else 0)
        self._block = Arguments(TeamBlock, workspaces=int(self._workspaces.ctypes.data))
        self._block.close()
        self._threads: list[threading.Thread] = []
        for k in range(1, threads):
            self._start(k)

    def run(self, program: Phases) -> None:
        """Run the steps, phase by phase."""
        rows, phases = program.rows, program.table
        if len(rows) == 0:
            return
        if self.threads == 1:
            self._alone(rows.ctypes.data, len(rows), self._workspace().ctypes.data)
            return
        with self._lock:
            self._block.put(rows=rows.ctypes.data, phases=phases.ctypes.data, count=len(phases))
            self._submit(self._block.address)

    def close(self) -> None:
        """End the threads."""
        with self._lock:
            self._block.put(stop=1, count=0)
            if self._threads:
                self._submit(self._block.address)
            for thread in self._threads:
                thread.join()
            self._threads.clear()

    def _start(self, number: int) -> None:
        arguments = (self._block.address, number)
        thread = threading.Thread(target=self._worker, args=arguments, name=f"netdsl-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self.close()
            raise HostError(
                f"the system gives this process {number} of {self.threads} threads;"
                " ask for fewer (--threads, NETDSL_THREADS) or raise its limit (ulimit -u)"
            ) from error
        self._threads.append(thread)

    def _workspace(self) -> NDArray[np.uint8]:
        """The workspace of the calling thread, for teams of one thread: callers then do not wait for each other."""
        if not hasattr(self._own, "workspace"):
            self._own.workspace = aligned_bytes(WORKSPACE_BYTES)
        found: NDArray[np.uint8] = self._own.workspace
        return found


_teams: dict[int, Team] = {}
_teams_lock = threading.Lock()


def shared_team(threads: int | None = None) -> Team:
    """The team of so many threads (see `host.threads`), shared by all programs of this process.

    Warns where they are more than the processors, and so wait for some that do not run.

    Ask again for each run: a forked child has none of the threads of its parent, and gets a team of its own.
    """
    count = host.threads(threads)
    if count not in _teams and count > (most := machine.processors()):
        share = "share 1 processor" if most == 1 else f"share {most} processors"
        warn(Diagnostic("machine", f"{count} threads {share} and wait for each other: fewer are faster"))
    with _teams_lock:
        if count not in _teams:
            _teams[count] = Team(count)
        return _teams[count]


@atexit.register
def _close_all() -> None:
    for team in _teams.values():
        team.close()


def _forget() -> None:
    """A forked child has none of the threads: it makes its own teams."""
    _teams.clear()
    _teams_lock.release()


# Held across a fork, the lock is in a known state on both sides.
hold_across_forks(Turn.THREADS, _teams_lock.acquire, _teams_lock.release, _forget)
