"""The machine: vector lanes, threads, and LLVM's names for the processor."""

from __future__ import annotations

import functools
import os
import platform

import llvmlite.binding as llvm

from netdsl import machine
from netdsl.source import Diagnostic, NetError

LANES = (4, 8, 16)
ARM = platform.machine().lower() in {"aarch64", "arm64"}

MAX_THREADS = 1024


class HostError(NetError, ValueError):
    """The environment or an argument asks for something that this machine does not have."""

    def __init__(self, message: str) -> None:
        super().__init__(Diagnostic("machine", message))


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
    return 32 if lanes() == 16 or ARM else 16


def threads(asked: int | None = None) -> int:
    """Return how many threads to compute with: `asked`, else NETDSL_THREADS, else the processors of this process.

    Errors: HostError for numbers that are not from 1 to MAX_THREADS.
    """
    if asked is not None:
        number = asked.__index__() if hasattr(asked, "__index__") and not isinstance(asked, bool) else 0
        if not 1 <= number <= MAX_THREADS:
            raise HostError(f"{asked!r} threads are asked for; it must be a number from 1 to {MAX_THREADS}")
        return number
    word = os.environ.get("NETDSL_THREADS")
    if word:
        plain = word.isascii() and word.isdecimal() and len(word) <= len(str(MAX_THREADS))
        if not plain or not 1 <= int(word) <= MAX_THREADS:
            raise HostError(f"NETDSL_THREADS is {word!r}; it must be a whole number from 1 to {MAX_THREADS}")
        return int(word)
    return machine.processors()
