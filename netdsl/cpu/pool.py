"""Threads that run programs together.

Our own threads rather than Numba's layers: entering a parallel region costs 1 us instead of 2 (OpenMP) to 77
(workqueue), and a program needs one region for all of its steps.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import host, pool_drivers
from netdsl.cpu.library import KernelLibrary

_INT = ctypes.c_int64


@functools.cache
def _library() -> KernelLibrary:
    return KernelLibrary("pool", pool_drivers.kernels())


class Pool:
    """`threads` threads, of which the caller is the first; the others wait in machine code, without the GIL."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        raw = np.zeros(pool_drivers.BLOCK_BYTES + 64, np.uint8)
        start = -raw.ctypes.data % 64
        self._block = raw[start : start + pool_drivers.BLOCK_BYTES].view(np.int64)
        self._address = int(self._block.ctypes.data)
        self._submit = ctypes.CFUNCTYPE(None, _INT, _INT)(_library().address("submit"))
        self._alone = ctypes.CFUNCTYPE(None, _INT, _INT)(_library().address("alone"))
        self._worker = ctypes.CFUNCTYPE(None, _INT, _INT, _INT)(_library().address("worker"))
        self._threads = [
            threading.Thread(
                target=self._worker, args=(self._address, k, threads), name=f"netdsl-{k}", daemon=True
            )
            for k in range(1, threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, steps: NDArray[np.int64]) -> None:
        """Run the steps, rows of (kernel, argument block), with a barrier after each."""
        if len(steps) == 0:
            return
        if self.threads == 1:
            self._alone(steps.ctypes.data, len(steps))
            return
        with self._lock:
            self._block[pool_drivers.STEPS // 8] = steps.ctypes.data
            self._block[pool_drivers.COUNT // 8] = len(steps)
            self._submit(self._address, self.threads)

    def close(self) -> None:
        """End the threads."""
        with self._lock:
            self._block[pool_drivers.STOP // 8] = 1
            self._block[pool_drivers.COUNT // 8] = 0
            if self._threads:
                self._submit(self._address, self.threads)
            for thread in self._threads:
                thread.join()
            self._threads.clear()


_pools: dict[int, Pool] = {}
_pools_lock = threading.Lock()


def shared_pool(threads: int | None = None) -> Pool:
    """The pool of so many threads (default: see `host.threads`), shared by all programs of the process."""
    count = host.threads() if threads is None else threads
    if count < 1:
        raise ValueError(f"a pool has one or more threads, not {count}")
    with _pools_lock:
        if count not in _pools:
            _pools[count] = Pool(count)
        return _pools[count]


@atexit.register
def _close_all() -> None:
    for pool in _pools.values():
        pool.close()


def _forget() -> None:
    """A forked child has none of the threads: it makes its own pools."""
    global _pools_lock
    _pools_lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
