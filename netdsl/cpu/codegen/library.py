"""Libraries of the kernels of this device: those that emit vector code, and the drivers that Numba compiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llvmlite import ir

from netdsl.backend.kernel_cache import Sources
from netdsl.native.emit import Emitter
from netdsl.native.library import CACHE, ENTRY_ARGUMENTS, AnyKernel, Library, NumbaKernel, leave, once

__all__ = ["CACHE", "SOURCES", "AnyKernel", "Kernel", "KernelLibrary", "NumbaKernel", "leave", "once"]

#: what shapes the code of every library beside the kernels themselves
SOURCES = Sources(
    [Path(__file__).parents[2] / room for room in ("cpu", "native", "scalar", "schedule", "backend")]
)


@dataclass(frozen=True)
class Kernel:
    """A kernel emitted as vector code: `void(int64 * arguments)`, by default those of a step's entry."""

    emit: Callable[[Emitter], None]
    arguments: int = ENTRY_ARGUMENTS

    def write(self, function: ir.Function, lanes: int) -> None:
        """Fill in the body."""
        emitter = Emitter(ir.IRBuilder(function.append_basic_block("entry")), function.args, lanes)
        self.emit(emitter)
        emitter.b.ret_void()


class KernelLibrary(Library):
    """A library whose code is shaped by the sources of this device."""

    def __init__(self, name: str, kernels: Mapping[str, AnyKernel], description: str = "") -> None:
        super().__init__(name, kernels, SOURCES, description)
