"""What this machine offers: vector lanes, threads, and the names LLVM gives its processor."""

from __future__ import annotations

import functools
import os
import platform

import llvmlite.binding as llvm

LANES = (4, 8, 16)


class HostError(ValueError):
    """An environment variable asks for something that cannot be had."""


@functools.cache
def cpu_name() -> str:
    """Return LLVM's name of this processor, such as `znver3`."""
    return str(llvm.get_host_cpu_name())


@functools.cache
def cpu_features() -> dict[str, bool]:
    """Return LLVM's feature flags of this processor; empty where LLVM cannot ask it (some ARM hosts)."""
    try:
        return dict(llvm.get_host_cpu_features())
    except RuntimeError:
        return {}


def lanes() -> int:
    """Return the floats in one vector: 16 with AVX-512, 8 with AVX, else 4.

    NETDSL_LANES overrides it; any of 4, 8 and 16 runs everywhere, because LLVM splits wide vectors.
    """
    asked = os.environ.get("NETDSL_LANES")
    if asked:
        if asked not in {str(n) for n in LANES}:
            raise HostError(f"NETDSL_LANES is {asked!r}; it must be 4, 8 or 16")
        return int(asked)
    features = cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx") else 4


def vector_registers() -> int:
    """Return how many vector registers a kernel may count on: 32 with AVX-512 or on ARM, else 16."""
    return 32 if lanes() == 16 or platform.machine().lower() in {"aarch64", "arm64"} else 16


def threads() -> int:
    """Return how many threads to compute with: NETDSL_THREADS, else the processors this process may use."""
    asked = os.environ.get("NETDSL_THREADS")
    if asked:
        if not asked.isdecimal() or not 1 <= int(asked) <= 1024:
            raise HostError(f"NETDSL_THREADS is {asked!r}; it must be a whole number from 1 to 1024")
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
