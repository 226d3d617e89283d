"""`netdsl doctor`: the threads, vectors and caches of this machine, and problems that make netdsl slow."""

from __future__ import annotations

import importlib.util
import os
import platform
from typing import Any

from netdsl.cli.command import command
from netdsl.cli.common import FORMAT, Format, print_json, print_page


@command(FORMAT)
def app(form: Format) -> None:
    """Report threads, vector width, the kernel cache and the GPU."""
    facts = gather()
    if form is Format.json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    print_page("\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in facts.items()))


def gather() -> dict[str, Any]:
    """The facts, by name."""
    from netdsl.cpu import host

    return {
        "python": platform.python_version(),
        "processor": host.cpu_name(),
        "vector_lanes": f"{host.lanes()} x float32",
        "threads": host.threads(),
        "threading_layer": "own threads, spinning before they park",
        "processors": os.cpu_count() or 1,
        **_kernel_cache(),
        "gpu": _gpu(),
    }


def _kernel_cache() -> dict[str, Any]:
    from netdsl.cpu.codegen.library import CACHE

    try:
        folder = CACHE.directory()
        return {"kernel_cache": str(folder), "cache_entries": sum(1 for p in folder.iterdir() if p.is_file())}
    except OSError as error:
        return {"kernel_cache": f"none: {error.strerror or error}", "cache_entries": 0}


def _gpu() -> str:
    if importlib.util.find_spec("numba_cuda") is None:
        return "none used: the CUDA backend is not part of this version"
    return "numba-cuda is installed, but the CUDA backend is not part of this version"
