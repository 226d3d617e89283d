"""Memory that kernels work on: what a device must offer, and that of this machine, where NumPy sees it too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.report.sizes import bytes_text
from netdsl.schedule import View
from netdsl.schedule.memory_plan import ALIGNMENT
from netdsl.source import Diagnostic, NetError

Array = NDArray[Any]


class OutOfMemory(NetError):
    """A device has not as much memory as it is asked for."""


class Tensor(ABC):
    """A view of the memory of a device."""

    def __init__(self, t: TensorType, memory: Memory) -> None:
        self.type, self.memory = t, memory

    @abstractmethod
    def copy_in(self, array: Array) -> None:
        """Replace all elements; TypeError for a dtype that does not convert safely (float64 to f32 does)."""

    @abstractmethod
    def copy_out(self) -> Array:
        """All elements, as a new array."""


class Staged(ABC):
    """An array of the host that is on its way into the memory of a device."""

    array: Array

    @abstractmethod
    def move_to(self, tensor: Tensor) -> None:
        """Replace all elements of a tensor, behind all that was run."""


Send = Callable[[Mapping[str, Array]], Mapping[str, Staged]]
"""Starts to copy arrays to a device; those that are copied when they are used are left out."""


class Memory(ABC):
    """`size` zeroed bytes of a device, as a target allocates them.

    There is room behind them: kernels may read, never write, up to one vector past the end.
    """

    size: int

    @abstractmethod
    def tensor(self, view: View, offset: int = 0) -> Tensor:
        """What a view shows of a buffer that begins at byte `offset`."""


class HostTensor(Tensor):
    """A tensor in the memory of this machine; `array` shows it."""

    def __init__(self, view: View, memory: HostMemory, offset: int) -> None:
        super().__init__(view.type, memory)
        dtype, start = NUMPY_DTYPE[view.type.dtype], offset + view.offset
        self.array: Array = np.ndarray(view.shape, dtype, memory.bytes, start, view.strides)

    def copy_in(self, array: Array) -> None:
        """Replace all elements."""
        np.copyto(self.array, array, casting="same_kind")

    def copy_out(self) -> Array:
        """All elements, as a new array."""
        return self.array.copy()


class HostMemory(Memory):
    """Memory of this machine; `bytes` shows it."""

    def __init__(self, size: int) -> None:
        self.size = size
        try:
            self.bytes = aligned_bytes(size)
        except MemoryError:
            text = f"the system gives no {bytes_text(size)} of memory"
            raise OutOfMemory(Diagnostic("memory", text)) from None

    @property
    def address(self) -> int:
        """Where it begins."""
        return int(self.bytes.ctypes.data)

    def tensor(self, view: View, offset: int = 0) -> HostTensor:
        """What a view shows of a buffer that begins at byte `offset`."""
        return HostTensor(view, self, offset)


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """`size` zero bytes that start on a cache line; an empty array has an address of its own too."""
    raw = np.zeros(size + 3 * ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
