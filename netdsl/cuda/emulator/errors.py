"""What the emulator refuses, and what it finds wrong in a kernel that runs."""

from __future__ import annotations

Index = tuple[int, int, int]
"""A block or a thread: x, y, z."""


class EmulatorError(Exception):
    """All errors of the emulator."""


class PTXError(EmulatorError, ValueError):
    """A text that is not PTX, or an instruction that the emulator does not know; says the line."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"PTX line {line}: {message}" if line else message)
        self.line = line


class LaunchError(EmulatorError, ValueError):
    """A launch that a GPU refuses: too many threads, too much shared memory, a wrong block of arguments."""


class OutOfMemory(EmulatorError, MemoryError):
    """No room for an allocation."""


class HostAccessError(EmulatorError, ValueError):
    """The host reads, writes or frees memory of the device that is not allocated."""


class KernelFault(EmulatorError):
    """A check failed while a kernel ran; the subclass says which.

    `kernel`, `line` and `text` of the instruction, `source` (file and line, where the kernel was compiled with
    lineinfo), `block` and `thread` of the first lane that fails, and `detail`: what was touched.
    """

    title = "fault"

    def __init__(
        self,
        detail: str,
        kernel: str,
        line: int,
        text: str,
        source: tuple[str, int] | None = None,
        block: Index | None = None,
        thread: Index | None = None,
    ) -> None:
        who = f", block {_show(block)} thread {_show(thread)}" if block and thread else ""
        where = f"\n  {source[0]}:{source[1]}" if source else ""
        super().__init__(f"{self.title}: {detail}{who}\n  kernel {kernel}, PTX line {line}: {text}{where}")
        self.detail, self.kernel, self.line, self.text = detail, kernel, line, text
        self.source, self.block, self.thread = source, block, thread


def _show(index: Index) -> str:
    return str(index[0]) if index[1:] == (0, 0) else str(index).replace(" ", "")


class OutOfBounds(KernelFault):
    """An access outside of every allocation, variable or parameter."""

    title = "out of bounds"


class UseAfterFree(KernelFault):
    """An access to memory that was freed."""

    title = "use after free"


class Misaligned(KernelFault):
    """An address that is not a multiple of the width of the access."""

    title = "misaligned address"


class UninitialisedRead(KernelFault):
    """A read of memory, or of a register, that nothing has written."""

    title = "uninitialised read"


class UnfinishedCopy(KernelFault):
    """A read of shared memory that a cp.async is still copying to."""

    title = "read of an unfinished cp.async"


class ReadOnlyWrite(KernelFault):
    """A write to constants or protected memory."""

    title = "write to read-only memory"


class DataRace(KernelFault):
    """Two threads touch the same bytes, one of them writes, and no barrier lies between."""

    title = "data race"


class BarrierDivergence(KernelFault):
    """A barrier that not all of its threads reach."""

    title = "barrier divergence"


class InactiveLane(KernelFault):
    """An instruction of a whole warp with a lane that does not take part."""

    title = "inactive lane"


class Endless(KernelFault):
    """A kernel that does not end within its budget of steps."""

    title = "endless"


class Trap(KernelFault):
    """The kernel executed `trap`."""

    title = "trap"
